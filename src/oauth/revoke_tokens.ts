/** Ends the access of a deleted credential at its provider (RFC 7009). */
import type { Caller } from '../contract/caller.ts';
import type { Egress } from '../egress/egress.ts';
import { knownValues, withDefaults } from '../use/call/request/templates.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { RevocableCredential } from '../vault/oauth/revocations.ts';
import type { UseOutcome } from '../vault/uses/use.ts';
import { endpointUrl } from './provider.ts';
import { revokeToken } from './token_request.ts';
import { TokenRequestError } from './token_request_error.ts';

export interface RevocationParts {
  readonly egress: Egress;
  readonly values: Pick<ValueProducer, 'produceAll'>;
  readonly now: () => Date;
}

/** Rejects, and sends nothing, if the credential is not bound to the origin of the provider. */
export async function revokeTokens(
  { egress, values, now }: RevocationParts,
  { organization, user }: Caller,
  { service, destination, values: opened, begin }: RevocableCredential,
): Promise<UseOutcome> {
  const fields = knownValues(service, destination.fields);
  const url = endpointUrl(service, 'revocation_url', fields, destination.origins);
  if (url === undefined) throw new Error('the service has no revocation URL');
  const target = await egress.resolve(url.origin, `${organization}/${user}`);
  const { origin, pathname: path } = url;
  const summary = `tokens of ${service.slug}`;
  await begin(
    { kind: 'revoke', method: 'POST', origin, path, hash: '', summary },
    target.addresses.join(' '),
  );
  const produced = await values.produceAll(service, opened);
  const all = withDefaults(service, produced.values);
  try {
    await revokeToken({ egress, service, url, target, values: all, now: now() });
    return { status: 200 };
  } catch (error) {
    if (!(error instanceof TokenRequestError)) throw error;
    return { status: error.status, reason: error.message };
  }
}
