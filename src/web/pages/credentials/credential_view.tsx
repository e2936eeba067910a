/** What the page of a credential shows. Never a value: a host that secrets are sent to is part of the destination. */
import type { FC } from 'hono/jsx';
import type { CredentialInfo, CredentialState, CredentialStatus } from '../../../contract/credential.ts';
import { connectUrl } from '../../../contract/pages.ts';
import type { Service } from '../../../contract/service/service.ts';
import type { UsePolicy } from '../../../contract/use/policy.ts';
import { connectGrants } from '../../../services/oauth/connect.ts';
import {
  Badge,
  Button,
  ButtonLink,
  Card,
  Fact,
  PageHeading,
  PostForm,
  Table,
  Time,
} from '../../layout/components.tsx';
import { ExpiryBadge } from '../../layout/expiry.tsx';
import { Logo } from '../../layout/logo.tsx';
import { CredentialStateBadge } from '../../layout/states.tsx';
import { credentialPath } from './lookup.ts';
import { Settings } from './settings.tsx';

export function shownName(info: CredentialInfo, service: Service | undefined): string {
  const service_name = service?.name ?? info.service_id;
  return info.name === null ? service_name : `${service_name}: ${info.name}`;
}

/** What a person does about a state. */
const NEXT_STEPS: Readonly<Partial<Record<CredentialState, string>>> = {
  incomplete: 'A required field is missing. Add it with Change values.',
  inactive: 'No agent can use it until you switch it on.',
  expired: 'It has expired and is not used. Rotate it.',
  needs_review: 'It would be sent to another destination. It is not used until a person approves that.',
  needs_reconnect: 'The provider refused to refresh the access token. Enter new values, or connect again.',
  rejected: 'The service refused it. Rotate it, then test it.',
};

export const Credential: FC<{
  readonly info: CredentialInfo;
  readonly status: CredentialStatus | undefined;
  readonly service: Service | undefined;
  readonly now: Date;
  readonly csrf: string;
}> = ({ info, status, service, now, csrf }) => {
  const path = credentialPath(info.id);
  const back =
    service === undefined
      ? { href: '/dashboard', label: 'Services' }
      : { href: `/dashboard/tools/${encodeURIComponent(service.slug)}`, label: service.name };
  return (
    <>
      <PageHeading
        title={shownName(info, service)}
        text={`${TYPE_NAMES[info.credential_type] ?? info.credential_type} in the stack ${info.stack_id} of ${info.user}`}
        back={back}
        logo={<Logo service_id={info.service_id} name={service?.name ?? info.service_id} />}
      >
        {status !== undefined && service !== undefined && connectGrants(service).length > 0 && (
          <ButtonLink
            href={connectUrl('', info)}
            kind={status.status === 'needs_reconnect' ? 'primary' : 'secondary'}
          >
            {status.status === 'needs_reconnect' ? 'Reconnect' : 'Connect'}
          </ButtonLink>
        )}
        {status !== undefined && (
          <PostForm action={`${path}/test`} csrf={csrf} class="inline">
            <Button>Test now</Button>
          </PostForm>
        )}
        {status !== undefined && <ButtonLink href={`${path}/change`}>Change values</ButtonLink>}
        {status !== undefined && <ButtonLink href={`${path}/rotate`}>Rotate</ButtonLink>}
      </PageHeading>
      {status !== undefined && <Notices id={info.id} status={status} />}
      <Card
        title="State"
        aside={
          <span class="row-aside">
            {status?.status === 'active' && <ExpiryBadge expires_at={status.expires_at} now={now} />}
            <CredentialStateBadge state={status?.status ?? (info.inactive ? 'inactive' : 'active')} />
          </span>
        }
      >
        <Facts info={info} status={status} />
      </Card>
      {status !== undefined && service !== undefined && <FieldTable status={status} service={service} />}
      <Settings info={info} status={status} now={now} csrf={csrf} />
    </>
  );
};

/** What a person has to do, with a link to where it is done. */
const Notices: FC<{ readonly id: string; readonly status: CredentialStatus }> = ({ id, status }) => {
  const next_step = NEXT_STEPS[status.status];
  return (
    <>
      {next_step !== undefined && (
        <p class="message message-notice">
          {next_step}{' '}
          {status.status === 'needs_review' && (
            <a href={`/dashboard/approvals/${encodeURIComponent(id)}`}>See the destination</a>
          )}
        </p>
      )}
      {status.pending_approval !== null && (
        <p class="message message-notice">
          New values wait for your decision, because the credential is protected.{' '}
          <a href={`/dashboard/approvals/${encodeURIComponent(status.pending_approval.approval_id)}`}>
            See the request
          </a>
        </p>
      )}
    </>
  );
};

const Facts: FC<{ readonly info: CredentialInfo; readonly status: CredentialStatus | undefined }> = ({
  info,
  status,
}) => (
  <dl class="facts">
    {status !== undefined && (
      <>
        <Fact term="Sent to">
          <Destination status={status} />
        </Fact>
        <Fact term="Last used">
          {status.last_used_at === null ? 'Not yet' : <Time at={status.last_used_at} />}{' '}
          <a href={`/dashboard/audit?${new URLSearchParams({ service: info.service_id })}`}>See all uses</a>
        </Fact>
        <Fact term="Last test">
          {status.last_test === null ? (
            'Not tested since the values were stored'
          ) : (
            <>
              {status.last_test.message} <Time at={status.last_test.at} />
            </>
          )}
        </Fact>
        <Fact term="Expires">{status.expires_at === null ? 'Never' : <Time at={status.expires_at} />}</Fact>
        <Fact term="Protected">{status.protected ? 'Yes' : 'No'}</Fact>
        <Fact term="Limits">{policyText(status.use_policy)}</Fact>
      </>
    )}
    <Fact term="Changed">
      <Time at={info.updated_at} /> by {info.modified_by}
    </Fact>
  </dl>
);

const FieldTable: FC<{ readonly status: CredentialStatus; readonly service: Service }> = ({
  status,
  service,
}) => {
  const presence = { ...status.required_credentials, ...status.optional_credentials };
  const defined = new Map(service.fields.map((field) => [field.field_id, field]));
  return (
    <section class="group">
      <h2>Fields</h2>
      <Table caption="Fields" columns={['Field', 'State', 'Required', 'Secret']}>
        {Object.entries(presence).map(([field_id, state]) => {
          const field = defined.get(field_id);
          return (
            <tr>
              <td>{field?.name ?? field_id}</td>
              <td>
                <Presence is_added={state === 'added'} is_required={field?.required === true} />
              </td>
              <td>{field?.required === true ? 'Required' : 'Optional'}</td>
              <td>{field?.secret === false ? 'No' : 'Yes'}</td>
            </tr>
          );
        })}
      </Table>
    </section>
  );
};

const Presence: FC<{ readonly is_added: boolean; readonly is_required: boolean }> = ({
  is_added,
  is_required,
}) => {
  if (is_added) return <Badge tone="good">Added</Badge>;
  return is_required ? <Badge tone="warning">Missing</Badge> : <span class="muted">Not set</span>;
};

const Destination: FC<{ readonly status: CredentialStatus }> = ({ status: { destination } }) => {
  if (destination === null) return <>Not known until the required fields are added</>;
  if (destination.length === 0) return <>Not used over HTTP</>;
  return (
    <ul>
      {destination.map((origin) => (
        <li>{origin}</li>
      ))}
    </ul>
  );
};

/** The types that people know under another name. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  bearer: 'Token',
  api_key: 'API key',
  oauth2: 'OAuth connection',
  basic: 'User name and password',
};

function policyText(policy: UsePolicy | null): string {
  if (policy === null) return 'None';
  const { methods, path_prefixes, calls_per_minute, expires_at, approve } = policy;
  const limits = [
    methods && `methods ${methods.join(', ')}`,
    path_prefixes && `paths under ${path_prefixes.join(', ')}`,
    calls_per_minute && `${calls_per_minute} uses a minute`,
    expires_at && `until ${expires_at}`,
    approve && `approval of uses: ${approve}`,
  ].filter(Boolean);
  return limits.length === 0 ? 'None' : limits.join('; ');
}
