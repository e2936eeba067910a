/** References to values outside of the vault, and the operator's list of those that may be resolved (KEYHOLD_REFERENCES). */

/** An environment variable of the process. */
interface EnvReference {
  readonly kind: 'env';
  readonly name: string;
}

/** A field of a secret in a KV version 2 engine of HashiCorp Vault or OpenBao. */
interface VaultReference {
  readonly kind: 'vault';
  readonly mount: string;
  readonly path: string;
  readonly field: string;
}

export type Reference = EnvReference | VaultReference;

const ENV_REFERENCE = /^env:\/\/([A-Za-z_][A-Za-z0-9_]{0,127})$/;
const SEGMENT = '(?!\\.{1,2}(?:[/#]|$))[A-Za-z0-9_.-]{1,100}';
const VAULT_REFERENCE = new RegExp(
  `^vault://(${SEGMENT})/(${SEGMENT}(?:/${SEGMENT}){0,20})#([A-Za-z0-9_.-]{1,100})$`,
);
const ENV_ENTRY = /^(?:env:\/\/)?([A-Za-z0-9_*]{1,128})$/;
const VAULT_ENTRY = /^vault:\/\/[A-Za-z0-9_.*/-]{1,500}(?:#[A-Za-z0-9_.*-]{1,100})?$/;
const ENTRIES_MAX = 100;
/** Keyhold's settings and the tokens for OpenBao and HashiCorp Vault are secrets of the operator, whatever the list has. */
const NEVER_RESOLVED = /^(?:KEYHOLD_.*|BAO_TOKEN|VAULT_TOKEN)$/i;

/** `undefined` unless the text is `env://NAME` or `vault://MOUNT/PATH#FIELD`. */
export function parseReference(text: string): Reference | undefined {
  const [, name] = ENV_REFERENCE.exec(text) ?? [];
  if (name !== undefined) return { kind: 'env', name };
  const [, mount, path, field] = VAULT_REFERENCE.exec(text) ?? [];
  if (mount === undefined || path === undefined || field === undefined) return undefined;
  return { kind: 'vault', mount, path, field };
}

export class ReferenceList {
  /** Allows no reference. */
  static readonly NONE: ReferenceList = new ReferenceList([]);
  readonly #patterns: readonly RegExp[];

  private constructor(patterns: readonly RegExp[]) {
    this.#patterns = patterns;
  }

  /**
   * Parses entries with commas between them: names of environment variables, and `vault://MOUNT/PATH` with or without `#FIELD`.
   * `*` matches any characters. Returns `undefined` for a malformed entry.
   */
  static parse(text: string): ReferenceList | undefined {
    const entries = text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
    if (entries.length > ENTRIES_MAX) return undefined;
    const patterns: RegExp[] = [];
    for (const entry of entries) {
      const [, name] = ENV_ENTRY.exec(entry) ?? [];
      if (name !== undefined) patterns.push(patternOf(`env://${name}`));
      else if (VAULT_ENTRY.test(entry)) patterns.push(patternOf(entry.includes('#') ? entry : `${entry}#*`));
      else return undefined;
    }
    return new ReferenceList(patterns);
  }

  /** The reference, if it can be parsed and is allowed. */
  find(text: string): Reference | undefined {
    const reference = parseReference(text);
    if (reference === undefined || (reference.kind === 'env' && NEVER_RESOLVED.test(reference.name)))
      return undefined;
    return this.#patterns.some((pattern) => pattern.test(text)) ? reference : undefined;
  }
}

function patternOf(entry: string): RegExp {
  const escaped = entry.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll(/\*+/g, '[^#]*');
  return new RegExp(`^${escaped}$`);
}
