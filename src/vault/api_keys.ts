/**
 * API keys: `kh_<id>_<secret>`. The secret is shown once and kept as a hash; the id leads to the key's record and from
 * there to its organization, so that nothing about a request but its key decides whose it is.
 */
import { createHash } from 'node:crypto';
import {
  type ApiKeyInfo,
  type ApiKeyList,
  CreateKeyInput,
  type NewApiKey,
  OrganizationName,
  type UnitInfo,
  UnitName,
} from '../contract/api_key.ts';
import {
  type Caller,
  type Edge,
  isOperator,
  NEW_KEY_SCOPES,
  SCOPES,
  type Scope,
} from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { parseInput } from '../contract/input.ts';
import { equalBytes } from '../crypto/audit_chain.ts';
import { newEntry } from './audit_entry.ts';
import type { Directory } from './directory.ts';
import { DirectoryRecords, type Found, removal } from './directory_records.ts';
import { type Guard, isOwn, stackOf } from './guard.ts';
import type { OrganizationRing } from './key_ring.ts';
import { KeyUse } from './key_use.ts';
import { idBytes } from './record_codec.ts';
import { retryOnConflict } from './retry.ts';
import type { VaultParts } from './vault_parts.ts';

/** The id: 32 hexadecimal digits of a UUID. The secret: 32 random bytes in base64url. */
const KEY_PATTERN = /^kh_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;
const SECRET_BYTES = 32;
const PREFIX_CHARACTERS = 8;
const KEYS_LISTED_MAX = 1_000;

interface KeyMeta extends Omit<ApiKeyInfo, 'id' | 'key_prefix' | 'last_used_at'> {
  /** SHA-256 of the secret, hexadecimal. The secret is random, so a slow hash would protect nothing more. */
  readonly secret_hash: string;
}

export class ApiKeys {
  readonly #parts: VaultParts;
  readonly #guard: Guard;
  readonly #directory: Directory;
  readonly #records: DirectoryRecords<KeyMeta>;
  readonly #use: KeyUse;

  constructor(parts: VaultParts, guard: Guard, directory: Directory) {
    this.#parts = parts;
    this.#guard = guard;
    this.#directory = directory;
    this.#records = new DirectoryRecords(parts, 'api_key');
    this.#use = new KeyUse(parts);
  }

  /** Who this key stands for. Throws UNAUTHENTICATED, with one message whatever is wrong with it. */
  async authenticate(text: string, edge: Edge, request_id: string): Promise<Caller> {
    const [, id = '', secret = ''] = KEY_PATTERN.exec(text) ?? [];
    const row = id === '' ? undefined : await this.#parts.store.get(Buffer.from(id, 'hex'));
    const ring = row?.kind === 'api_key' ? await this.#parts.keys.organizationOf(row.scope) : undefined;
    const found = row && ring && this.#records.openOwn(ring, row);
    // Compared even where there is no key, so that the time tells nothing.
    const expected = Buffer.from(found?.meta.secret_hash ?? hashOf(''), 'hex');
    const genuine = equalBytes(Buffer.from(hashOf(secret), 'hex'), expected);
    if (!genuine || found === undefined || ring === undefined || this.#isExpired(found.meta))
      throw unauthenticated();
    this.#use.note(ring, found.id);
    const { organization, user, scopes, stack_id, allowed_services, allowed_tools } = found.meta;
    return {
      organization,
      user,
      scopes: new Set(scopes),
      edge,
      request_id,
      api_key_id: found.id,
      ...(stack_id === null ? {} : { stack: stack_id }),
      ...(allowed_services === null ? {} : { services: new Set(allowed_services) }),
      ...(allowed_tools === null ? {} : { tools: new Set(allowed_tools) }),
    };
  }

  /** Makes a key; organization and user too when they are new. */
  async create(caller: Caller, raw: CreateKeyInput): Promise<NewApiKey> {
    const input = parseInput(CreateKeyInput, raw);
    await this.#guard.enter(caller, 'keys:write', 'create_key');
    const target = this.#target(caller, input.organization);
    const actor = target === 'own' ? caller : guest(caller);
    const user_name = input.user ?? caller.user;
    if (target === 'own' && !isOwn(caller, user_name))
      throw new VaultError('FORBIDDEN', 'Keys for other users need the scope org:admin.');
    if (target === 'other' && input.user === undefined)
      throw new VaultError('INVALID_INPUT', 'Name the user of that organization.');
    const scopes = this.#scopes(caller, input.scopes);
    const allowed_services = this.#services(caller, input.allowed_services);
    const allowed_tools = narrowed(caller.tools, input.allowed_tools);
    const stack_id = caller.stack === undefined ? (input.stack_id ?? null) : stackOf(caller, input.stack_id);
    if (input.expires_at !== undefined && Date.parse(input.expires_at) <= this.#parts.now().getTime())
      throw new VaultError('INVALID_INPUT', 'expires_at must lie ahead.');
    const organization = input.organization ?? caller.organization;
    const { ring, id: organization_id } = await this.#directory.organization(actor, organization);
    const user = await this.#directory.user(actor, ring, user_name, input.unit);
    const meta = {
      name: input.name ?? null,
      organization,
      organization_id,
      user: user.name,
      user_id: user.id,
      unit_id: user.unit_id,
      scopes,
      stack_id,
      allowed_services,
      allowed_tools,
      created_at: this.#parts.now().toISOString(),
      expires_at: input.expires_at === undefined ? null : new Date(input.expires_at).toISOString(),
    };
    return this.#write(actor, ring, this.#parts.records.newId(), 1, meta, 'create_key');
  }

  /** The caller's keys, newest first; for whoever administers the organization, everybody's. */
  async list(caller: Caller, organization?: string): Promise<ApiKeyList> {
    await this.#guard.enter(caller, 'keys:write');
    const ring = await this.#ringOf(caller, organization);
    const found = await this.#records.list(ring, ring.id, KEYS_LISTED_MAX + 1);
    const seen = found.slice(0, KEYS_LISTED_MAX).filter(({ meta }) => isTheirs(caller, meta));
    const keys = await Promise.all(
      seen.map(async (one) => infoOf(one, await this.#use.lastUsed(ring, one.id))),
    );
    return { keys, more: found.length > KEYS_LISTED_MAX };
  }

  /** A new secret under the same id; the old one stops working at once. */
  async rotate(caller: Caller, id: string): Promise<NewApiKey> {
    await this.#guard.enter(caller, 'keys:write', 'rotate_key');
    return retryOnConflict(async () => {
      const { ring, found } = await this.#find(caller, id);
      const { secret_hash: _, ...meta } = found.meta;
      const actor = meta.organization === caller.organization ? caller : guest(caller);
      return this.#write(actor, ring, found.id, found.revision + 1, meta, 'rotate_key');
    });
  }

  /** The key stops working at once, and is gone. */
  async revoke(caller: Caller, id: string): Promise<void> {
    await this.#guard.enter(caller, 'keys:write', 'revoke_key');
    await retryOnConflict(async () => {
      const { ring, found } = await this.#find(caller, id);
      const { log, store, now } = this.#parts;
      const facts = { record_id: found.id, revision: found.revision, owner: found.meta.user };
      const actor = found.meta.organization === caller.organization ? caller : guest(caller);
      const entry = newEntry(actor, 'revoke_key', now(), facts);
      await store.commit({ writes: [removal(found)], audit: [log.append(ring, entry)] });
    });
  }

  /** Makes the first key of an installation that has none, for who runs it: every scope but `values:reveal`. */
  async createFirst(caller: Caller): Promise<NewApiKey | undefined> {
    const { keys } = await this.list(caller);
    if (keys.length > 0) return undefined;
    const scopes = SCOPES.filter((scope) => scope !== 'values:reveal');
    return this.create(caller, { name: 'admin', scopes });
  }

  /** The units of an organization, newest first. */
  async listUnits(caller: Caller, organization?: string): Promise<readonly UnitInfo[]> {
    await this.#guard.enter(caller, 'credentials:read');
    const ring = await this.#ringOf(caller, organization);
    await this.#directory.firstUnit(caller, ring);
    return this.#directory.units(ring);
  }

  /** Makes a unit, or answers with the one of that name. */
  async createUnit(caller: Caller, name: string, organization?: string): Promise<UnitInfo> {
    const unit = parseInput(UnitName, name);
    await this.#guard.enter(caller, 'org:admin', 'create_unit');
    const actor = this.#target(caller, organization) === 'own' ? caller : guest(caller);
    const { ring } = await this.#directory.organization(actor, organization ?? caller.organization);
    return this.#directory.unit(actor, ring, unit);
  }

  /** Whether it is the caller's own organization. Throws FORBIDDEN where the caller has no business in it. */
  #target(caller: Caller, organization: string | undefined): 'own' | 'other' {
    if (organization === undefined || organization === caller.organization) return 'own';
    parseInput(OrganizationName, organization);
    if (isOperator(caller)) return 'other';
    throw new VaultError('FORBIDDEN', 'Only who runs this installation acts in other organizations.');
  }

  /** The keys of the caller's organization, or of another one that it may act in. Throws FORBIDDEN or NOT_FOUND. */
  async #ringOf(caller: Caller, organization: string | undefined): Promise<OrganizationRing> {
    this.#target(caller, organization);
    const ring = await this.#parts.keys.organization(organization ?? caller.organization);
    if (ring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return ring;
  }

  #scopes(caller: Caller, wanted: readonly Scope[] | undefined): Scope[] {
    if (wanted === undefined) {
      return NEW_KEY_SCOPES.filter((scope) => caller.scopes.has(scope) || caller.scopes.has('org:admin'));
    }
    const beyond = wanted.filter((scope) => !caller.scopes.has(scope));
    if (beyond.length > 0 && !caller.scopes.has('org:admin'))
      throw new VaultError(
        'FORBIDDEN',
        `A key cannot have scopes that its maker lacks: ${beyond.join(', ')}.`,
      );
    return SCOPES.filter((scope) => wanted.includes(scope));
  }

  #services(caller: Caller, wanted: readonly string[] | undefined): string[] | null {
    const slugs = wanted?.map((id) => this.#parts.services.get(id).slug);
    return narrowed(caller.services, slugs);
  }

  async #find(caller: Caller, id: string) {
    const home = await this.#parts.keys.organization(caller.organization);
    const row = home && (await this.#parts.store.get(idBytes(id)));
    const is_key = row?.kind === 'api_key' && home !== undefined;
    const ring = is_key && isOperator(caller) ? await this.#parts.keys.organizationOf(row.scope) : home;
    const found = is_key && ring !== undefined ? this.#records.openOwn(ring, row) : undefined;
    if (ring === undefined || found === undefined || !(isOperator(caller) || isTheirs(caller, found.meta)))
      throw new VaultError('NOT_FOUND', 'No such API key.');
    return { ring, found };
  }

  async #write(
    caller: Caller,
    ring: OrganizationRing,
    id: string,
    revision: number,
    facts: Omit<KeyMeta, 'secret_hash'>,
    action: 'create_key' | 'rotate_key',
  ): Promise<NewApiKey> {
    const secret = this.#parts.random(SECRET_BYTES).toString('base64url');
    const meta = { ...facts, secret_hash: hashOf(secret) };
    const { log, store, now } = this.#parts;
    const entry = newEntry(caller, action, now(), { record_id: id, revision, owner: meta.user });
    const write = this.#records.put(ring, { key: [id], scope: ring.id }, id, revision, meta);
    await store.commit({ writes: [write], audit: [log.append(ring, entry)] });
    return { ...infoOf({ id, revision, meta }, null), key: `kh_${id.replaceAll('-', '')}_${secret}` };
  }

  #isExpired({ expires_at }: KeyMeta): boolean {
    return expires_at !== null && Date.parse(expires_at) <= this.#parts.now().getTime();
  }
}

/** Who acts in another organization goes by both names there: no user of it can have such a name. */
function guest(caller: Caller): Caller {
  return { ...caller, user: `${caller.organization}/${caller.user}` };
}

function isTheirs(caller: Caller, meta: KeyMeta): boolean {
  return isOwn(caller, meta.user) && (caller.stack === undefined || caller.stack === meta.stack_id);
}

/** What is allowed of what was wanted by somebody who is held to a list. */
function narrowed(
  held_to: ReadonlySet<string> | undefined,
  wanted: readonly string[] | undefined,
): string[] | null {
  if (held_to === undefined) return wanted === undefined ? null : [...wanted];
  if (wanted === undefined) return [...held_to];
  if (wanted.every((one) => held_to.has(one))) return [...wanted];
  throw new VaultError('FORBIDDEN', 'A key cannot allow what the key of its maker does not.');
}

function infoOf({ id, meta }: Found<KeyMeta>, last_used_at: string | null): ApiKeyInfo {
  const { secret_hash: _, ...shown } = meta;
  const key_prefix = `kh_${id}`.slice(0, PREFIX_CHARACTERS);
  return { id, key_prefix, ...shown, last_used_at };
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function unauthenticated(): VaultError {
  return new VaultError('UNAUTHENTICATED', 'A valid API key is needed.');
}
