/** The header `WWW-Authenticate` of 401 and 403 (RFC 6750, section 3; RFC 9728, section 5.1). */

/** The value of each parameter has neither quotes nor backslashes. */
export interface BearerChallenge {
  readonly error?: 'invalid_token' | 'insufficient_scope';
  readonly resource_metadata?: string;
  readonly scope?: string;
}

export function formatChallenge(challenge: BearerChallenge): string {
  const parameters = Object.entries(challenge).map(([name, value]) => `${name}="${value}"`);
  return parameters.length === 0 ? 'Bearer' : `Bearer ${parameters.join(', ')}`;
}
