/**
 * Resolves references to values outside of the vault, as far as the operator's list allows them: environment variables, and
 * secrets in HashiCorp Vault or OpenBao. A reference is never sent as text.
 */
import { fetchDocument } from '../../egress/documents.ts';
import type { Egress } from '../../egress/egress.ts';
import { parseStrictJson } from '../../io/strict_json.ts';
import type { Reference, ReferenceList } from '../../vault/values/reference_list.ts';
import { valueError } from './value_error.ts';

const RESPONSE_MAX_BYTES = 1_048_576;
const TIMEOUT_MS = 10_000;

/** The server that `vault://` references read, from the operator's settings. */
export interface VaultServer {
  /** VAULT_ADDR: an origin, such as `https://vault.internal:8200`. */
  readonly origin: string;
  /** VAULT_TOKEN. */
  readonly token: string;
  /** VAULT_NAMESPACE. */
  readonly namespace?: string | undefined;
  /** Allows the address of the server. Opened for the first reference. */
  readonly egress: () => Promise<Egress>;
}

export interface ReferenceSources {
  readonly list: ReferenceList;
  /** Without the secrets of Keyhold. */
  readonly env: NodeJS.ProcessEnv;
  readonly vault_server?: VaultServer | undefined;
}

/** Throws FORBIDDEN for a reference that is not allowed, UPSTREAM for one that leads to no value. */
export async function resolveReference(
  field_id: string,
  text: string,
  { list, env, vault_server }: ReferenceSources,
): Promise<string> {
  const reference = list.find(text);
  if (reference === undefined)
    throw valueError(
      'FORBIDDEN',
      field_id,
      'is a reference that may not be resolved here. An operator can allow it with KEYHOLD_REFERENCES.',
    );
  const value =
    reference.kind === 'env' ? env[reference.name] : await readVault(field_id, reference, vault_server);
  if (value !== undefined && value !== '') return value;
  throw valueError('UPSTREAM', field_id, 'is a reference that leads to no value. Set the value there.');
}

async function readVault(
  field_id: string,
  { mount, path, field }: Extract<Reference, { kind: 'vault' }>,
  server: VaultServer | undefined,
): Promise<string | undefined> {
  if (server === undefined)
    throw valueError(
      'UPSTREAM',
      field_id,
      'is a reference to another vault. Set VAULT_ADDR and VAULT_TOKEN for Keyhold.',
    );
  const { status, text } = await fetchSecret(server, `/v1/${mount}/data/${path}`).catch((cause) => {
    throw valueError(
      'UPSTREAM',
      field_id,
      'is in another vault, which cannot be reached. Check VAULT_ADDR.',
      cause,
    );
  });
  if (status === 404) return undefined;
  if (status !== 200)
    throw valueError(
      'UPSTREAM',
      field_id,
      `is in another vault, which responded with the status ${status}. Check VAULT_ADDR, VAULT_TOKEN and the policy of the token.`,
    );
  const parsed = parseStrictJson(text);
  const fields = 'value' in parsed ? dataOf(dataOf(parsed.value)) : undefined;
  const value = typeof fields === 'object' && fields !== null ? Reflect.get(fields, field) : undefined;
  return typeof value === 'string' ? value : undefined;
}

function dataOf(json: unknown): unknown {
  return typeof json === 'object' && json !== null ? Reflect.get(json, 'data') : undefined;
}

async function fetchSecret(
  { origin, token, namespace, egress }: VaultServer,
  path: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers = {
    'x-vault-token': token,
    'x-vault-request': 'true',
    ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
  };
  const limits = { time_ms: TIMEOUT_MS, body_bytes: RESPONSE_MAX_BYTES };
  const { status, body } = await fetchDocument(await egress(), origin + path, headers, limits);
  return { status, text: body.toString() };
}
