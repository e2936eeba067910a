/** Signs a request and sends it through a real egress. */
import type { Egress } from '../../../src/egress/egress.ts';
import type { Signer, SignerParameters, UnsignedRequest } from '../../../src/use/signers/signer.ts';

/** The status and the body of the response, such as `200 accepted`. */
export async function sendSigned(
  egress: Egress,
  signer: Signer,
  request: UnsignedRequest,
  parameters: SignerParameters,
): Promise<string> {
  const { headers } = await signer.sign(request, parameters, new Date());
  const target = await egress.resolve(request.url.origin);
  const response = await egress.request(target, {
    method: request.method,
    path: `${request.url.pathname}${request.url.search}`,
    headers: { ...request.headers, ...headers },
    ...(request.body.length === 0 ? {} : { body: request.body }),
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return `${response.status} ${Buffer.concat(chunks)}`;
}
