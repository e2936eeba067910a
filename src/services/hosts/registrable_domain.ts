/** The public suffix list, with the suffixes of companies that let their users register names, such as `github.io`. */
import { createRequire } from 'node:module';

interface SuffixList {
  getDomain(host: string, options: { readonly allowPrivateDomains: boolean }): string | null;
}

let list: SuffixList | undefined;

/**
 * Whether the name is, or is below, a name that one person or company registered: `a.example.co.uk`, not `co.uk`,
 * `github.io`, `localhost` or an address.
 */
export function hasRegistrableDomain(host: string): boolean {
  // Loaded on first use: it would add 20 ms to every start.
  list ??= createRequire(import.meta.url)('tldts') as SuffixList;
  return list.getDomain(host, { allowPrivateDomains: true }) !== null;
}
