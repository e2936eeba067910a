/**
 * Sign-ins with an identity provider that wait for the callback. The browser keeps each, encrypted with a key of the vault, so that all
 * servers of a vault can complete it, and requests without a session write nothing.
 */
import * as z from 'zod';
import { SIGN_IN_ATTEMPT_AGE_MS } from '../../contract/limits.ts';
import { openText, sealText } from '../../crypto/sealed_text.ts';
import type { VaultDependencies } from '../dependencies.ts';

const SignInAttempt = z.strictObject({
  state: z.string(),
  nonce: z.string(),
  code_verifier: z.string(),
  /** The path of the page to go to. */
  next: z.string(),
});
export type SignInAttempt = z.infer<typeof SignInAttempt>;

const LABEL = 'keyhold sign-in attempt';
const SealedAttempt = SignInAttempt.extend({ expires_at: z.string() });

export class SignInAttempts {
  readonly #parts: Pick<VaultDependencies, 'keys' | 'random' | 'now'>;

  constructor(parts: Pick<VaultDependencies, 'keys' | 'random' | 'now'>) {
    this.#parts = parts;
  }

  async seal(attempt: SignInAttempt): Promise<string> {
    const { keys, random, now } = this.#parts;
    const [{ sign_in }] = await keys.signingKeys();
    const expires_at = new Date(now().getTime() + SIGN_IN_ATTEMPT_AGE_MS).toISOString();
    return sealText(sign_in, random, LABEL, JSON.stringify({ ...attempt, expires_at }));
  }

  /** `undefined` for a text that this vault has not sealed, or whose time is over. */
  async open(sealed: string): Promise<SignInAttempt | undefined> {
    const { keys, now } = this.#parts;
    // Only the newest key: a person whose sign-in began before a rotation begins again.
    const [{ sign_in }] = await keys.signingKeys();
    const text = openText(sign_in, LABEL, sealed);
    if (text === undefined) return undefined;
    const { expires_at, ...attempt } = SealedAttempt.parse(JSON.parse(text));
    return Date.parse(expires_at) > now().getTime() ? attempt : undefined;
  }
}
