/** The search patterns of the secret values of a credential. Compiling them takes longer than a short call. */
import type { Secret } from '../../contract/secret.ts';
import { PatternSet } from '../../egress/redaction/pattern_set.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { UsableCredential } from '../../vault/uses/use.ts';

const CREDENTIALS_MAX = 50;

export class CredentialPatterns {
  /** By credential and revision, with the values that the patterns are of. */
  readonly #known = new BoundedMap<string, PatternSet>(CREDENTIALS_MAX);

  /** `stored`: the values of the credential, by field. `used`: what no response may contain, plain fields too. */
  of(
    { credential_id, revision, service }: UsableCredential,
    stored: ReadonlyMap<string, Secret>,
    used: readonly Secret[],
  ): PatternSet {
    const plain = new Set(
      service.fields.filter(({ secret }) => !secret).map(({ field_id }) => stored.get(field_id)),
    );
    const secrets = used.filter((value) => !plain.has(value));
    // Values that were computed for this request are in no later one.
    const own = new Set(stored.values());
    if (secrets.some((value) => !own.has(value))) return new PatternSet(secrets);
    const key = `${credential_id} ${revision}`;
    const known = this.#known.get(key) ?? new PatternSet(secrets);
    this.#known.set(key, known);
    return known;
  }
}
