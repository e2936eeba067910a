/** The authorization server whose access tokens are taken. */
import { isLoopback } from '../io/server_url.ts';

export interface TokenIssuer {
  /** Exactly what `iss` says. */
  readonly issuer: string;
  /** What `aud` must name: this server, as the issuer knows it. */
  readonly audience: string;
  /** Where the keys are, when the issuer's metadata is not to be asked. */
  readonly jwks_url: string | undefined;
  /** Whose users they are whose tokens have no claim `organization`. */
  readonly organization: string;
}

/** Whether what comes from this address is what its owner sent: https, or from this machine. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));
}
