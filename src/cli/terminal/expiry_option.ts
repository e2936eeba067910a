/** `--expires` of the commands that write values. */

export const EXPIRES_OPTION = [
  '--expires <time>',
  'when the secret expires, such as 2030-01-31 or 30d; never removes it',
] as const;

export interface ExpiryOption {
  readonly expires?: string;
}

/** `null` for `never`, `undefined` without the option. Rejects with INVALID_INPUT. */
export async function parseExpiryOption({ expires }: ExpiryOption): Promise<string | null | undefined> {
  if (expires === undefined) return undefined;
  if (expires === 'never') return null;
  const { parseExpiry } = await import('./expiry.ts');
  return parseExpiry(expires, new Date());
}
