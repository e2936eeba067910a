/** The page of a service: its credentials, and a place to enter the values of another one. Never shows a value. */
import type { FC } from 'hono/jsx';
import { type Caller, DEFAULT_STACK } from '../../contract/caller.ts';
import type { CredentialInfo, CredentialStatus } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import { connectUrl } from '../../contract/pages.ts';
import type { Service } from '../../contract/service/service.ts';
import type { StackName } from '../../contract/stack.ts';
import { connectGrants } from '../../services/oauth/connect.ts';
import {
  EXPIRES_FIELD,
  type FieldProblem,
  fieldProblem,
  readExpiry,
  readFieldValues,
} from '../forms/read_fields.ts';
import { hasFileField, ProblemMessage, ServiceFields } from '../forms/service_fields.tsx';
import {
  Button,
  ButtonLink,
  Card,
  ExternalLink,
  Field,
  PageHeading,
  PostForm,
  Time,
} from '../layout/components.tsx';
import { Logo } from '../layout/logo.tsx';
import { CredentialStateBadge } from '../layout/states.tsx';
import { definePage, type PageContext, type PageParts, textOf } from '../page.ts';
import { redirectTo, showPage } from '../respond.tsx';
import { credentialPath, isRefusal, refusalStatus, statusOf } from './credentials/lookup.ts';
import { servicesPath, stackLabel } from './services/stack_switch.tsx';

const PATH = '/dashboard/tools/:service_id';

export const toolPages = definePage({
  register(app, { vault }) {
    app.get(PATH, (c) => showService(c, vault, vault.services.get(c.req.param('service_id'))));

    app.post(PATH, async (c) => {
      const service = vault.services.get(c.req.param('service_id'));
      try {
        const id = await storeNew(vault, c.var.caller, service, c.var.form);
        return redirectTo(c, credentialPath(id), {
          kind: 'success',
          text: `Saved. Agents can now use ${service.name} without seeing a value.`,
        });
      } catch (error) {
        if (!isRefusal(error)) throw error;
        return showService(c, vault, service, error);
      }
    });
  },
});

/** Stores the sent values as a new credential, and returns its id. */
async function storeNew(
  vault: PageParts['vault'],
  caller: Caller,
  service: Service,
  sent: FormData,
): Promise<string> {
  const name = textOf(sent, 'name');
  const stack_id = textOf(sent, 'stack');
  // The vault creates a stack of an unknown name; a person creates one on its own page.
  if (stack_id !== '' && !(await vault.stacks.names(caller)).some((stack) => stack.stack_id === stack_id))
    throw new VaultError('INVALID_INPUT', 'There is no such stack. Choose another one.');
  const named = {
    service_id: service.slug,
    ...(name === '' ? {} : { name }),
    ...(stack_id === '' ? {} : { stack_id }),
  };
  const before = await vault.status(caller, named);
  if (before.status !== 'missing')
    throw new VaultError(
      'CONFLICT',
      'A credential of this name exists. Choose another name, or change that one.',
    );
  const credentials = await readFieldValues(sent);
  const missing = service.fields.find(
    ({ field_id, required }) => required && credentials[field_id] === undefined,
  );
  if (missing !== undefined)
    throw new VaultError('INVALID_INPUT', `The value of ${missing.field_id} is missing.`);
  const expires_at = readExpiry(sent);
  const { credential_id } = await vault.update(caller, {
    ...named,
    credentials,
    verify: textOf(sent, 'verify') !== '',
    ...(expires_at === undefined ? {} : { expires_at }),
  });
  if (credential_id === null) throw new Error('the stored credential has no id');
  return credential_id;
}

/** Shows the service and the caller's credentials of it, in its own stacks and those that are shared with it. */
async function showService(
  c: PageContext,
  vault: PageParts['vault'],
  service: Service,
  refusal?: VaultError,
): Promise<Response> {
  const { caller, csrf } = c.var;
  const stacks = await vault.stacks.names(caller);
  const { credentials } = await vault.credentials.page(caller, { service_id: service.slug }, LIST_PAGE_MAX);
  const stored = await Promise.all(
    credentials.map(async (info) => ({ info, status: await statusOf(vault, caller, info) })),
  );
  const content = (
    <ServicePage
      service={service}
      stored={stored}
      stacks={stacks}
      stack_id={textOf(c.var.form, 'stack') || (c.req.query('stack') ?? '')}
      csrf={csrf}
      user={caller.user}
      problem={refusal && fieldProblem(service.fields, refusal)}
    />
  );
  const status = refusalStatus(refusal);
  return showPage(c, { title: service.name, section: 'services', status }, content);
}

interface Stored {
  readonly info: CredentialInfo;
  readonly status: CredentialStatus | undefined;
}

const ServicePage: FC<{
  readonly service: Service;
  readonly stored: readonly Stored[];
  readonly stacks: readonly StackName[];
  /** The chosen one; empty for the default one. */
  readonly stack_id: string;
  readonly csrf: string;
  readonly user: string;
  readonly problem: FieldProblem | undefined;
}> = ({ service, stored, stacks, stack_id, csrf, user, problem }) => {
  const { slug, name, description, homepage, docs_url } = service;
  return (
    <>
      <PageHeading
        title={name}
        text={description}
        back={{ href: servicesPath(stack_id || DEFAULT_STACK), label: 'Services' }}
        logo={<Logo service_id={slug} name={name} />}
      />
      <p class="service-links">
        <code>{slug}</code>
        {docs_url !== undefined && <ExternalLink href={docs_url}>Documentation</ExternalLink>}
        {homepage !== undefined && <ExternalLink href={homepage}>Website</ExternalLink>}
      </p>
      {stored.length > 0 && (
        <Card title="Credentials">
          <ul class="rows">
            {stored.map((one) => (
              <StoredRow {...one} service={service} user={user} />
            ))}
          </ul>
        </Card>
      )}
      {connectGrants(service).length > 0 && (
        <Card title={`Permit access at ${name}`}>
          <div class="stack">
            <p class="muted">You sign in at {name} and permit access. You copy no key.</p>
            <ButtonLink
              href={connectUrl('', { service_id: slug, stack_id: stack_id || undefined })}
              kind="primary"
            >
              Connect with {name}
            </ButtonLink>
          </div>
        </Card>
      )}
      <Card title={stored.length === 0 ? `Enter values for ${name}` : 'Add another credential'}>
        <ProblemMessage problem={problem} />
        <StoreFields
          service={service}
          stacks={stacks}
          stack_id={stack_id}
          needs_name={stored.some(
            ({ info }) => info.name === null && info.stack_id === (stack_id || DEFAULT_STACK),
          )}
          csrf={csrf}
          problem={problem}
        />
      </Card>
    </>
  );
};

const StoreFields: FC<{
  readonly service: Service;
  readonly stacks: readonly StackName[];
  readonly stack_id: string;
  /** The credential without a name exists. */
  readonly needs_name: boolean;
  readonly csrf: string;
  readonly problem: FieldProblem | undefined;
}> = ({ service, stacks, stack_id, needs_name, csrf, problem }) => (
  <PostForm
    action={`/dashboard/tools/${encodeURIComponent(service.slug)}`}
    csrf={csrf}
    files={hasFileField(service.fields)}
  >
    <Alternatives service={service} />
    <ServiceFields fields={service.fields} problem={problem} />
    {stacks.length > 1 && (
      <Field
        name="stack"
        label="Stack"
        required
        options={stacks.map((stack) => ({ value: stack.stack_id, label: stackLabel(stack) }))}
        value={stack_id || DEFAULT_STACK}
      />
    )}
    <Field
      name="name"
      label="Name"
      description="Distinguishes several credentials of a service, such as work."
      required={needs_name}
    />
    <Field
      name={EXPIRES_FIELD}
      label="Expires"
      description="Date and time in UTC. From then on it is not used."
      type="datetime-local"
    />
    <label class="check">
      <input type="checkbox" name="verify" value="yes" /> Test first, and save only if {service.name} accepts
      it
    </label>
    <div>
      <Button>Save credential</Button>
    </div>
  </PostForm>
);

/** The groups of fields of which one must be complete, by the names of the fields. */
const Alternatives: FC<{ readonly service: Service }> = ({ service: { fields, requires } }) => {
  if (requires === undefined) return null;
  const nameOf = (id: string) => fields.find(({ field_id }) => field_id === id)?.name ?? id;
  const ways = requires.map((group) => group.map(nameOf).join(' and '));
  return <p class="muted small">Needed: {ways.join('; or ')}.</p>;
};

const StoredRow: FC<Stored & { readonly service: Service; readonly user: string }> = ({
  info,
  status,
  service,
  user,
}) => (
  <li>
    <a class="row" href={credentialPath(info.id)}>
      <Logo service_id={service.slug} name={service.name} />
      <span class="row-main">
        <span class="row-title">{info.name ?? service.name}</span>
        <span class="row-text">
          Stack {info.stack_id}
          {info.user !== user && ` of ${info.user}`}, changed <Time at={info.updated_at} />
        </span>
      </span>
      <span class="row-aside">
        {status !== undefined ? (
          <CredentialStateBadge state={status.status} />
        ) : (
          info.inactive && <CredentialStateBadge state="inactive" />
        )}
      </span>
    </a>
  </li>
);
