/**
 * Azure Storage "Authorize with Shared Key", for versions from 2009-09-19 on: Blob, Queue and File, and the shorter text that
 * Table services sign.
 */
import { createHmac } from 'node:crypto';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { requireParameter, type Signature, type Signer } from './signer.ts';

const DEFAULT_VERSION = '2021-12-02';
/** Standard headers in the order in which their values are signed. Date is empty: `x-ms-date` is always sent. */
const SIGNED_HEADERS = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
];
const ACCOUNT_PATTERN = /^[a-z0-9]{1,63}$/i;
const BASE64_PATTERN = /^[A-Za-z0-9+/]+={0,2}$/;
const TABLE_HOST = /^[^.]+\.table\./;

/** Parameters: `account_name`, `account_key` (base64). */
export const azure_shared_key: Signer = {
  owned_headers: ['authorization', 'date', 'x-ms-date'],
  async sign({ method, url, headers, body }, parameters, now): Promise<Signature> {
    const account = requireParameter(parameters, 'account_name').reveal();
    const key = requireParameter(parameters, 'account_key').reveal();
    if (!ACCOUNT_PATTERN.test(account) || !BASE64_PATTERN.test(key))
      throw new VaultError(
        'INVALID_INPUT',
        'The storage account or its key is not complete. Copy both from the Azure portal and store them again.',
      );
    const sent = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const added = {
      'x-ms-date': now.toUTCString(),
      'x-ms-version': sent.get('x-ms-version') ?? DEFAULT_VERSION,
    };
    for (const [name, value] of Object.entries(added)) sent.set(name, value);
    sent.delete('date');
    sent.set('content-length', body.length === 0 ? '' : String(body.length));
    const text = TABLE_HOST.test(url.hostname)
      ? tableText(method, url, sent, account)
      : storageText(method, url, sent, account);
    const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
    return {
      headers: { ...added, authorization: `SharedKey ${account}:${signature}` },
      secrets: [new Secret(signature)],
    };
  },
};

function storageText(method: string, url: URL, sent: ReadonlyMap<string, string>, account: string): string {
  const values = SIGNED_HEADERS.map((name) => sent.get(name) ?? '');
  const own_headers = [...sent.keys()]
    .filter((name) => name.startsWith('x-ms-'))
    .sort()
    .map((name) => `${name}:${(sent.get(name) ?? '').trim()}`);
  const parameters = new Map<string, string[]>();
  for (const [name, value] of url.searchParams) {
    const lower = name.toLowerCase();
    parameters.set(lower, [...(parameters.get(lower) ?? []), value].sort());
  }
  const query = [...parameters.keys()].sort().map((name) => `${name}:${parameters.get(name)?.join(',')}`);
  return [method, ...values, ...own_headers, `/${account}${url.pathname}`, ...query].join('\n');
}

function tableText(method: string, url: URL, sent: ReadonlyMap<string, string>, account: string): string {
  const component = url.searchParams.get('comp');
  const resource = `/${account}${url.pathname}${component === null ? '' : `?comp=${component}`}`;
  const values = ['content-md5', 'content-type', 'x-ms-date'].map((name) => sent.get(name) ?? '');
  return [method, ...values, resource].join('\n');
}
