/** The page that creates an API key, and what a person chose on it. An unknown choice is refused: it could widen the key. */
import type { FC } from 'hono/jsx';
import type { CreateKeyInput } from '../../../contract/api_key.ts';
import { NEW_KEY_SCOPES, SCOPES, type Scope } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { StackInfo } from '../../../contract/stack.ts';
import type { UsePolicy } from '../../../contract/use/policy.ts';
import { SAFE_METHODS } from '../../../contract/use/rules.ts';
import { CheckboxGroup, RadioGroup } from '../../layout/choices.tsx';
import { Button, ButtonLink, Card, Field, PageHeading, PostForm } from '../../layout/components.tsx';
import { afterDays } from '../../layout/expiry.tsx';
import { textOf } from '../../page.ts';
import { KEYS_PATH } from './key_list.tsx';

const SCOPE_TEXTS: Readonly<Record<Scope, string>> = {
  'credentials:read': 'See which services and credentials there are, and their status',
  'credentials:write': 'Store, change and delete credentials',
  'credentials:use': 'Call and test services with credentials',
  'stacks:write': 'Create, share and delete stacks',
  'keys:write': 'Create, rotate and revoke API keys',
  'audit:read': 'Read and verify the audit log',
  'values:reveal': 'Read stored values. Only for programs that cannot work without them',
  'approvals:decide': 'Sign in as a person who decides about approvals. Never give such a key to an agent',
  'org:admin': 'Administer the organization: all users, keys and stacks',
};

const EXPIRIES = [
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
  { value: '365', label: '1 year' },
  { value: 'never', label: 'No expiry' },
] as const;
const DEFAULT_EXPIRY = '90';

const USES: readonly {
  readonly value: string;
  readonly label: string;
  readonly description: string;
  readonly policy: UsePolicy | undefined;
}[] = [
  {
    value: 'all',
    label: 'All requests',
    description: 'Within the limits of each credential.',
    policy: undefined,
  },
  {
    value: 'approve',
    label: 'A person approves changes',
    description: 'Requests other than GET, HEAD and OPTIONS wait for an approval.',
    policy: { approve: 'writes' },
  },
  {
    value: 'read',
    label: 'Read only',
    description: 'GET, HEAD and OPTIONS.',
    policy: { methods: [...SAFE_METHODS] },
  },
];

/** What the controls show: their defaults, or the choices that were refused. */
export interface CreateKeyFields {
  readonly name: string;
  readonly user: string;
  readonly expires: string;
  readonly scopes: ReadonlySet<string>;
  readonly stack: string;
  readonly services: ReadonlySet<string>;
  readonly uses: string;
}

export function shownFields(sent?: FormData): CreateKeyFields {
  if (sent === undefined)
    return {
      name: '',
      user: '',
      expires: DEFAULT_EXPIRY,
      scopes: new Set(NEW_KEY_SCOPES),
      stack: '',
      services: new Set(),
      uses: 'all',
    };
  return {
    name: textOf(sent, 'name'),
    user: textOf(sent, 'user'),
    expires: textOf(sent, 'expires'),
    scopes: new Set(textsOf(sent, 'scope')),
    stack: textOf(sent, 'stack'),
    services: new Set(textsOf(sent, 'service')),
    uses: textOf(sent, 'uses'),
  };
}

/** Throws INVALID_INPUT for a choice that the page does not offer. */
export function readNewKey(sent: FormData, now: Date): CreateKeyInput {
  const { name, user, expires, scopes, stack, services, uses } = shownFields(sent);
  const expiry = EXPIRIES.find(({ value }) => value === expires);
  const use = USES.find(({ value }) => value === uses);
  const chosen = SCOPES.filter((scope) => scopes.has(scope));
  if (expiry === undefined || use === undefined || chosen.length !== scopes.size)
    throw new VaultError('INVALID_INPUT', 'Choose the expiry, the scopes and the requests again.');
  if (chosen.length === 0) throw new VaultError('INVALID_INPUT', 'Choose at least one scope.');
  return {
    scopes: chosen,
    ...(name === '' ? {} : { name }),
    ...(user === '' ? {} : { user }),
    ...(stack === '' ? {} : { stack_id: stack }),
    ...(services.size === 0 ? {} : { allowed_services: [...services] }),
    ...(use.policy === undefined ? {} : { use_policy: use.policy }),
    ...(expiry.value === 'never' ? {} : { expires_at: afterDays(Number(expiry.value), now) }),
  };
}

function textsOf(sent: FormData, name: string): string[] {
  return sent.getAll(name).filter((value) => typeof value === 'string');
}

export const CreateKey: FC<{
  readonly fields: CreateKeyFields;
  /** Those that the person may grant. */
  readonly scopes: readonly Scope[];
  readonly stacks: readonly StackInfo[];
  readonly nameOf: (service_id: string) => string;
  readonly is_admin: boolean;
  readonly csrf: string;
  readonly problem: string | undefined;
}> = ({ fields, scopes, stacks, nameOf, is_admin, csrf, problem }) => (
  <>
    <PageHeading
      title="Create a key"
      text="Give a program only what it needs. The key is shown once, on the next page."
      back={{ href: KEYS_PATH, label: 'API keys' }}
    />
    <Card>
      {problem !== undefined && (
        <p class="message message-error" role="alert">
          {problem} No key was created.
        </p>
      )}
      <PostForm action={`${KEYS_PATH}/new`} csrf={csrf}>
        <Field
          name="name"
          label="Name"
          description="Where the key is used, such as the name of a program."
          value={fields.name}
          placeholder="CI deploy"
        />
        {is_admin && (
          <Field
            name="user"
            label="User"
            description="The key is for the credentials of this user. Left empty: you. A new name creates a user."
            value={fields.user}
          />
        )}
        <Field name="expires" label="Expires" required options={EXPIRIES} value={fields.expires} />
        <CheckboxGroup
          name="scope"
          legend="Scopes"
          choices={scopes.map((scope) => ({
            value: scope,
            label: <code>{scope}</code>,
            description: SCOPE_TEXTS[scope],
          }))}
          checked={fields.scopes}
        />
        <RadioGroup name="uses" legend="Requests to services" choices={USES} value={fields.uses} />
        <Restrictions fields={fields} stacks={stacks} nameOf={nameOf} />
        <div class="actions">
          <Button>Create key</Button>
          <ButtonLink href={KEYS_PATH}>Cancel</ButtonLink>
        </div>
      </PostForm>
    </Card>
  </>
);

const Restrictions: FC<{
  readonly fields: CreateKeyFields;
  readonly stacks: readonly StackInfo[];
  readonly nameOf: (service_id: string) => string;
}> = ({ fields, stacks, nameOf }) => {
  const services = new Set(stacks.flatMap((stack) => stack.services.map(({ service_id }) => service_id)));
  return (
    <details class="more-fields" open={fields.stack !== '' || fields.services.size > 0}>
      <summary>Restrict to a stack or to services</summary>
      <div class="stack">
        <Field
          name="stack"
          label="Stack"
          options={[
            { value: '', label: 'All stacks' },
            ...stacks.map(({ stack_id, stack_name }) => ({ value: stack_id, label: stack_name })),
          ]}
          value={fields.stack}
        />
        {services.size > 0 && (
          <CheckboxGroup
            name="service"
            legend="Services"
            description="None selected: all services."
            choices={[...services].sort().map((service_id) => ({
              value: service_id,
              label: nameOf(service_id),
            }))}
            checked={fields.services}
          />
        )}
      </div>
    </details>
  );
};
