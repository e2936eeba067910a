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
import { Logo } from '../../layout/logo.tsx';
import { CredentialStateBadge } from '../../layout/states.tsx';
import { credentialPath } from './lookup.ts';

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
  readonly csrf: string;
}> = ({ info, status, service, csrf }) => {
  const path = credentialPath(info.id);
  const next_step = status && NEXT_STEPS[status.status];
  const back =
    service === undefined
      ? { href: '/dashboard', label: 'Services' }
      : { href: `/dashboard/tools/${encodeURIComponent(service.slug)}`, label: service.name };
  return (
    <>
      <PageHeading
        title={shownName(info, service)}
        text={`In the stack ${info.stack_id} of ${info.user}`}
        back={back}
        logo={<Logo service_id={info.service_id} name={service?.name ?? info.service_id} />}
      >
        {service !== undefined && connectGrants(service).length > 0 && (
          <ButtonLink
            href={connectUrl('', info)}
            kind={status?.status === 'needs_reconnect' ? 'primary' : 'secondary'}
          >
            {status?.status === 'needs_reconnect' ? 'Reconnect' : 'Connect'}
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
      {next_step !== undefined && <p class="message message-notice">{next_step}</p>}
      {status?.pending_approval && (
        <p class="message message-notice">
          New values wait for a person since they arrived for a protected credential.
        </p>
      )}
      <Card
        title="State"
        aside={<CredentialStateBadge state={status?.status ?? (info.inactive ? 'inactive' : 'active')} />}
      >
        <Facts info={info} status={status} />
      </Card>
      {status !== undefined && service !== undefined && <FieldTable status={status} service={service} />}
      <Card title="Access">
        <div class="actions">
          <PostForm action={`${path}/switch`} csrf={csrf} class="inline">
            <Button kind="secondary" name="inactive" value={info.inactive ? 'no' : 'yes'}>
              {info.inactive ? 'Switch on' : 'Switch off'}
            </Button>
          </PostForm>
          {status !== undefined && (
            <PostForm action={`${path}/protect`} csrf={csrf} class="inline">
              <Button kind="secondary" name="protected" value={status.protected ? 'no' : 'yes'}>
                {status.protected ? 'End protection' : 'Protect'}
              </Button>
            </PostForm>
          )}
          <ButtonLink href={`${path}/delete`} kind="danger" dialog>
            Delete
          </ButtonLink>
        </div>
        <p class="muted small">
          Only a person can change a protected credential; new values from agents wait.
        </p>
      </Card>
    </>
  );
};

const Facts: FC<{ readonly info: CredentialInfo; readonly status: CredentialStatus | undefined }> = ({
  info,
  status,
}) => (
  <dl class="facts">
    <Fact term="Type">{info.credential_type}</Fact>
    {status !== undefined && (
      <>
        <Fact term="Sent to">{destinationText(status)}</Fact>
        <Fact term="Last used">
          {status.last_used_at === null ? 'Not yet' : <Time at={status.last_used_at} />}
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
    <Card title="Fields">
      <Table caption="Fields" columns={['Field', 'State', 'Required', 'Secret']}>
        {Object.entries(presence).map(([field_id, state]) => {
          const field = defined.get(field_id);
          return (
            <tr>
              <td>{field?.name ?? field_id}</td>
              <td>
                <Badge tone={state === 'added' ? 'good' : field?.required === true ? 'warning' : 'neutral'}>
                  {state === 'added' ? 'Added' : 'Missing'}
                </Badge>
              </td>
              <td>{field?.required === true ? 'Required' : 'Optional'}</td>
              <td>{field?.secret === false ? 'No' : 'Yes'}</td>
            </tr>
          );
        })}
      </Table>
    </Card>
  );
};

function destinationText({ destination }: CredentialStatus): string {
  if (destination === null) return 'Not known until the required fields are added';
  return destination.length === 0 ? 'Not used over HTTP' : destination.join(', ');
}

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
