/** What the pages of a connection show: what is requested and where, and the code of a device. */
import type { FC } from 'hono/jsx';
import type {
  ConnectDescription,
  ConnectInput,
  DeviceState,
  StartedDevice,
} from '../../../contract/connection.ts';
import { connectUrl } from '../../../contract/pages.ts';
import type { Service } from '../../../contract/service/service.ts';
import { ButtonLink, Card, Fact, PageHeading, Time } from '../../layout/components.tsx';
import { Logo } from '../../layout/logo.tsx';
import { Outcome } from '../../layout/outcome.tsx';
import { CredentialStateBadge } from '../../layout/states.tsx';
import { ConnectForm } from './connect_form.tsx';

export const ConnectPage: FC<{
  readonly description: ConnectDescription;
  readonly service: Service;
  readonly input: ConnectInput;
  readonly callback_url: string;
  readonly csrf: string;
  /** Why the connection was not started. */
  readonly problem: string | undefined;
}> = ({ description, service, input, callback_url, csrf, problem }) => {
  const { service_name: name, status } = description;
  const { stack_id = 'default', name: credential_name } = input;
  return (
    <>
      <PageHeading
        title={`Connect ${name}`}
        text={`You permit access at ${name}. Agents can then use it, and never see a token.`}
        back={{ href: `/dashboard/tools/${encodeURIComponent(service.slug)}`, label: name }}
        logo={<Logo service_id={service.slug} name={name} />}
      />
      {problem !== undefined && (
        <p class="message message-error" role="alert">
          {problem}
        </p>
      )}
      <Card title="Access" aside={<CredentialStateBadge state={status} />}>
        <dl class="facts">
          <Fact term="Saved as">
            {name}
            {credential_name !== undefined && <>, {credential_name}</>}{' '}
            <span class="muted">in the stack {stack_id}</span>
          </Fact>
          <Fact term="You sign in at">{description.authorization_origin ?? 'the host of your account'}</Fact>
          <Fact term="Tokens are used at">{service.hosts.join(', ')}</Fact>
          {description.scopes.length > 0 && (
            <Fact term="Requested permissions">
              <span class="scopes">
                {description.scopes.map((scope) => (
                  <code class="scope">{scope}</code>
                ))}
              </span>
            </Fact>
          )}
        </dl>
      </Card>
      <Card title={`Your client at ${name}`}>
        <ConnectForm
          action={connectUrl('', input)}
          csrf={csrf}
          service={service}
          description={description}
          callback_url={callback_url}
          grants={description.grants}
        />
      </Card>
    </>
  );
};

export const DeviceWaits: FC<{ readonly service: Service; readonly device: StartedDevice }> = ({
  service,
  device: { user_code, verification_uri, verification_uri_complete, expires_at },
}) => (
  <Outcome
    mark="waiting"
    title={`Connect ${service.name}`}
    text={
      <>
        Open <strong>{verification_uri}</strong> on any device, and enter this code.
      </>
    }
  >
    <strong class="device-code">{user_code}</strong>
    <a
      class="button button-primary"
      href={verification_uri_complete ?? verification_uri}
      target="_blank"
      rel="noopener noreferrer"
    >
      Open {new URL(verification_uri).host}
    </a>
    <p class="muted small" role="status">
      This page waits for {service.name}. The code expires <Time at={expires_at} />.
    </p>
  </Outcome>
);

const ENDS = {
  declined: 'Access was declined there. Nothing was stored.',
  expired: 'The code has expired. Nothing was stored.',
} as const;

export const DeviceEnd: FC<{
  readonly found: Exclude<DeviceState, { readonly state: 'pending' | 'connected' }>;
  /** Where it starts again. */
  readonly again: string;
}> = ({ found, again }) => (
  <Outcome
    mark="ended"
    title="Not connected"
    text={found.state === 'failed' ? found.message : ENDS[found.state]}
  >
    <ButtonLink href={again}>Connect again</ButtonLink>
  </Outcome>
);
