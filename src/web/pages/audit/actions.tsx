/** How the page names the actions of the audit log: in the filter, and in the sentence about an entry. */
import type { FC } from 'hono/jsx';
import type { AuditAction, AuditEntry } from '../../../contract/audit.ts';
import { DEFAULT_STACK } from '../../../contract/caller.ts';

export const ACTION_GROUPS = [
  'Uses',
  'Credentials',
  'Approvals',
  'Services',
  'Stacks',
  'API keys',
  'People',
  'Log',
] as const;
export type ActionGroup = (typeof ACTION_GROUPS)[number];

/** The name of a service, for its slug. */
export type NameOf = (service_id: string) => string;

export type TargetOf = FC<{ readonly entry: AuditEntry; readonly nameOf: NameOf }>;

interface ActionText {
  readonly group: ActionGroup;
  /** In the filter. */
  readonly label: string;
  /** After the user: `me stored ...`. */
  readonly past: string;
  /** After `was not allowed to`. */
  readonly infinitive: string;
  readonly Target: TargetOf;
}

const CredentialObject: TargetOf = ({ entry, nameOf }) => {
  const { service_id, name, stack_id, owner } = entry;
  if (service_id === null) return <>a credential</>;
  return (
    <>
      the credential {name !== null && <strong>{name} </strong>}of <strong>{nameOf(service_id)}</strong>
      {stack_id !== null && stack_id !== DEFAULT_STACK && <> in the stack {stack_id}</>}
      {owner !== null && (
        <>
          {' '}
          that belongs to <strong>{owner}</strong>
        </>
      )}
    </>
  );
};

const MovedCredential: TargetOf = ({ entry, nameOf }) => (
  <>
    <CredentialObject entry={entry} nameOf={nameOf} />
    {entry.changes.map(({ what, from, to }) => (
      <>
        {' '}
        from {WHAT[what]} <strong>{from ?? 'none'}</strong> to <strong>{to ?? 'none'}</strong>
      </>
    ))}
  </>
);

export const WHAT: Readonly<Record<AuditEntry['changes'][number]['what'], string>> = {
  user: 'user',
  stack: 'stack',
  unit: 'unit',
  name: 'name',
  state: 'state',
  use_policy: 'limits of uses',
  protection: 'protection',
  expires_at: 'expiry',
  share: 'share',
};

const ServiceObject: TargetOf = ({ entry: { service_id }, nameOf }) => (
  <>the definition of {service_id === null ? 'a service' : <strong>{nameOf(service_id)}</strong>}</>
);

const StackObject: TargetOf = ({ entry: { stack_id, owner } }) => (
  <>
    {stack_id === null ? (
      'a stack'
    ) : (
      <>
        the stack <strong>{stack_id}</strong>
      </>
    )}
    {owner !== null && (
      <>
        {' '}
        of <strong>{owner}</strong>
      </>
    )}
  </>
);

const KeyObject: TargetOf = ({ entry: { owner } }) => (
  <>
    an API key
    {owner !== null && (
      <>
        {' '}
        of <strong>{owner}</strong>
      </>
    )}
  </>
);

const UserObject: TargetOf = ({ entry: { owner } }) =>
  owner === null ? (
    <>a user</>
  ) : (
    <>
      the user <strong>{owner}</strong>
    </>
  );

function text(object: string): TargetOf {
  return () => <>{object}</>;
}

function action(
  group: ActionGroup,
  label: string,
  past: string,
  infinitive: string,
  Target: TargetOf,
): ActionText {
  return { group, label, past, infinitive, Target };
}

function credential(label: string, past: string, infinitive: string): ActionText {
  return action('Credentials', label, past, infinitive, CredentialObject);
}

function approval(label: string, past: string, infinitive: string): ActionText {
  return action('Approvals', label, past, infinitive, CredentialObject);
}

export const ACTION_TEXTS: Readonly<Record<AuditAction, ActionText>> = {
  use: action('Uses', 'Use', 'used', 'use', CredentialObject),
  use_outcome: action('Uses', 'Outcome of a use', 'ended a use of', 'use', CredentialObject),
  reject: action('Uses', 'Service rejects values', 'had rejected', 'mark as rejected', CredentialObject),
  accept: action(
    'Uses',
    'Service accepts values',
    'had accepted again',
    'mark as accepted',
    CredentialObject,
  ),
  pin_host_key: action(
    'Uses',
    'Keep host key',
    'kept the host key of the server of',
    'keep the host key of the server of',
    CredentialObject,
  ),
  refresh: credential('Refresh tokens', 'refreshed the tokens of', 'refresh the tokens of'),
  require_reconnect: credential(
    'Require a new connection',
    'found that a person has to connect again for',
    'require a new connection for',
  ),
  store: credential('Store', 'stored', 'store'),
  update: credential('Update', 'updated', 'update'),
  delete: credential('Delete', 'deleted', 'delete'),
  reveal: credential('Reveal values', 'revealed the values of', 'reveal the values of'),
  rename: { ...credential('Rename', 'renamed', 'rename'), Target: MovedCredential },
  move: { ...credential('Move', 'moved', 'move'), Target: MovedCredential },
  set_inactive: credential('Switch on or off', 'switched', 'switch'),
  set_use_policy: credential('Limit uses', 'changed the limits of', 'change the limits of'),
  set_protected: credential('Protect', 'changed the protection of', 'change the protection of'),
  create_handle: credential(
    'Request values from a person',
    'requested that a person enters',
    'request that a person enters',
  ),
  complete_handle: credential('Enter requested values', 'entered the values of', 'enter the values of'),
  decline_handle: credential(
    'Decline requested values',
    'declined to enter the values of',
    'decline to enter the values of',
  ),
  start_connection: credential('Start to connect', 'started to connect', 'start to connect'),
  decline_connection: credential('Decline to connect', 'declined at the provider to connect', 'decline'),
  connect: credential('Connect', 'connected', 'connect'),
  request_use: approval('Request a use', 'requested approval to use', 'request approval to use'),
  approve_use: approval('Approve a use', 'approved a use of', 'approve a use of'),
  deny_use: approval('Deny a use', 'denied a use of', 'deny a use of'),
  revoke_use: approval('End an approval of uses', 'ended an approval to use', 'end an approval to use'),
  request_access: approval('Request a service', 'requested the service', 'request the service'),
  approve_access: approval('Accept a request for a service', 'accepted the service', 'accept the service'),
  deny_access: approval('Deny a request for a service', 'denied the service', 'deny the service'),
  request_values: approval('Propose values', 'proposed new values for', 'propose new values for'),
  approve_values: approval('Accept values', 'accepted new values for', 'accept new values for'),
  deny_values: approval('Decline values', 'declined new values for', 'decline new values for'),
  approve_destination: approval(
    'Approve a destination',
    'approved the destination of',
    'approve the destination of',
  ),
  approve_service: action('Services', 'Approve a definition', 'approved', 'approve', ServiceObject),
  remove_service: action('Services', 'Remove a definition', 'removed', 'remove', ServiceObject),
  create_stack: action('Stacks', 'Create a stack', 'created', 'create', StackObject),
  update_stack: action('Stacks', 'Change a stack', 'changed', 'change', StackObject),
  delete_stack: action('Stacks', 'Delete a stack', 'deleted', 'delete', StackObject),
  share_stack: action('Stacks', 'Share a stack', 'shared', 'share', StackObject),
  unshare_stack: action('Stacks', 'End a share', 'ended a share of', 'end a share of', StackObject),
  create_key: action('API keys', 'Create a key', 'created', 'create', KeyObject),
  rotate_key: action('API keys', 'Rotate a key', 'rotated', 'rotate', KeyObject),
  revoke_key: action('API keys', 'Revoke a key', 'revoked', 'revoke', KeyObject),
  list_keys: action('API keys', 'List keys', 'listed', 'list', text('the API keys')),
  create_key_set: action(
    'API keys',
    'Begin the list of keys',
    'began',
    'begin',
    text('the list of API keys'),
  ),
  authenticate: action('API keys', 'Authenticate', 'authenticated', 'authenticate', text('with an API key')),
  sign_in: action('People', 'Sign in', 'signed in', 'sign in', text('to the pages')),
  sign_out: action('People', 'Sign out', 'signed out', 'sign out', text('of the pages')),
  create_organization: action(
    'People',
    'Create an organization',
    'created',
    'create',
    text('an organization'),
  ),
  create_unit: action('People', 'Create a unit', 'created', 'create', text('a unit')),
  create_user: action('People', 'Create a user', 'created', 'create', UserObject),
  delete_user: action('People', 'Delete a user', 'deleted', 'delete', UserObject),
  move_user: action('People', 'Move a user', 'moved', 'move', UserObject),
  list_users: action('People', 'List users', 'listed', 'list', text('the users')),
  init: action('Log', 'Begin the log', 'began', 'begin', text('the audit log')),
  backup: action('Log', 'Back up the vault', 'made', 'make', text('a backup of the vault')),
  restore: action('Log', 'Restore the vault', 'restored', 'restore', text('the vault from a backup')),
  move_vault: action('Log', 'Move the vault', 'moved', 'move', text('the vault to another store')),
  list_audit: action('Log', 'Read the log', 'read', 'read', text('the audit log')),
  verify_audit: action('Log', 'Verify the log', 'verified', 'verify', text('the audit log')),
  rotate_root_key: rotation('Rotate the root key', 'the root key of the vault'),
  rotate_data_key: rotation('Rotate the data key', 'the data key'),
  reencrypt_records: action(
    'Log',
    'Encrypt records again',
    'encrypted again',
    'encrypt again',
    text('records with the newest data key'),
  ),
  rotate_box_key: rotation('Rotate the key for sealed values', 'the key that values are sealed to'),
  retire_box_keys: action(
    'Log',
    'Retire keys for sealed values',
    'retired',
    'retire',
    text('the former keys that values were sealed to'),
  ),
  rotate_signing_key: rotation('Rotate the signing keys', 'the keys that sign for the vault'),
};

function rotation(label: string, key: string): ActionText {
  return action('Log', label, 'rotated', 'rotate', text(key));
}
