/** The interface of a signer: computes authentication headers of a request from values, instead of sending the values. */
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';

/** A request as it will be sent. A change of it afterwards makes the signature invalid. */
export interface UnsignedRequest {
  readonly method: string;
  readonly url: URL;
  /** Of the caller and of the definition. Names in any case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The parameters of the definition's injection rule, after their templates are filled in. Empty ones are left out. */
export type SignerParameters = ReadonlyMap<string, Secret>;

export interface Signature {
  /** To add to the request, in place of headers with the same names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Computed values that authenticate, such as a token. A response must not contain them. */
  readonly secrets: readonly Secret[];
}

export interface Signer {
  /** Headers, in lower case, that a caller may not send. */
  readonly owned_headers: readonly string[];
  /** Throws INVALID_INPUT for parameters that are missing or unusable. Nothing of them is in the message. */
  sign(request: UnsignedRequest, parameters: SignerParameters, now: Date): Promise<Signature>;
}

/** A parameter that the signer cannot do without. */
export function requireParameter(parameters: SignerParameters, name: string): Secret {
  const value = parameters.get(name);
  if (value !== undefined) return value;
  throw new VaultError(
    'INVALID_INPUT',
    `The request cannot be signed: the credential has no ${name}. Store the credential again with all its fields.`,
  );
}
