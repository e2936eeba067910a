/** The parts of the page on which a person enters values: the request, the two ways to fulfil it, and how it ended. Never shows a value. */
import type { FC, PropsWithChildren } from 'hono/jsx';
import type { ConnectDescription } from '../../../contract/connection.ts';
import type { ErrorReason, VaultError } from '../../../contract/errors.ts';
import type { OpenHandle } from '../../../contract/handle.ts';
import type { Service } from '../../../contract/service/service.ts';
import { hasFileField, ValueField } from '../../forms/service_fields.tsx';
import { Button, ButtonLink, Card, PostForm, Time } from '../../layout/components.tsx';
import { Logo } from '../../layout/logo.tsx';
import { Outcome } from '../../layout/outcome.tsx';
import { ConnectForm } from '../connect/connect_form.tsx';
import { HandleFacts } from './handle_facts.tsx';

/** Why the input of one of the two parts of the page was refused. */
export interface Problem {
  readonly form: 'values' | 'connect';
  readonly text: string;
}

interface EnterProps {
  readonly opened: OpenHandle;
  readonly service: Service;
  readonly action: string;
  readonly csrf: string;
  /** `undefined`: the service is not connected in a browser. */
  readonly connection:
    | { readonly callback_url: string; readonly description: ConnectDescription }
    | undefined;
  readonly problem: Problem | undefined;
}

export const Enter: FC<EnterProps> = ({ opened, service, action, csrf, connection, problem }) => (
  <div class="enter">
    <div class="enter-heading">
      <Logo service_id={service.slug} name={service.name} />
      <h1>{opened.replaces ? `Replace values for ${service.name}` : `Connect ${service.name}`}</h1>
    </div>
    <p class="page-text">
      {opened.edge === 'web' ? (
        'You accepted the request of an agent. It can use these values within your limits, and never sees them.'
      ) : (
        <>
          An agent requests this. It can use the values, and never sees them. Continue only if it showed you
          the code <strong class="enter-code">{opened.code}</strong>
        </>
      )}
    </p>
    <HandleFacts opened={opened} service={service} />
    {problem?.form === 'connect' && (
      <p class="message message-error" role="alert">
        {problem.text}
      </p>
    )}
    {connection === undefined ? (
      <EnterValues opened={opened} service={service} action={action} csrf={csrf} problem={problem}>
        <DeclineButton />
      </EnterValues>
    ) : (
      <>
        <Card title={`Permit access at ${service.name}`}>
          <ConnectForm
            action={`${action}/connect`}
            csrf={csrf}
            service={service}
            description={connection.description}
            callback_url={connection.callback_url}
          />
        </Card>
        <details class="more-fields" open={problem?.form === 'values'}>
          <summary>Enter values instead</summary>
          <EnterValues opened={opened} service={service} action={action} csrf={csrf} problem={problem} />
        </details>
        <PostForm action={action} csrf={csrf} class="inline">
          <DeclineButton />
        </PostForm>
      </>
    )}
    <p class="muted small">
      The page expires <Time at={opened.expires_at} />, and works once.
    </p>
  </div>
);

const DeclineButton: FC = () => (
  <button class="button button-secondary" type="submit" name="decision" value="decline" formnovalidate>
    Decline
  </button>
);

/** `children`: another button. */
const EnterValues: FC<PropsWithChildren<Omit<EnterProps, 'connection'>>> = ({
  opened,
  service,
  action,
  csrf,
  problem: found,
  children,
}) => {
  const problem = found?.form === 'values' ? found.text : undefined;
  const shown = service.fields.filter(({ field_id }) =>
    opened.fields.some((one) => one.field_id === field_id),
  );
  const refused = shown.find(({ field_id }) => problem?.startsWith(`The value of ${field_id} `));
  return (
    <>
      {problem !== undefined && (
        <p class="message message-error" role="alert">
          {refused === undefined ? problem : `The value of ${refused.name} was refused. See the field below.`}{' '}
          Nothing was saved. Enter all values again: this page does not keep them.
        </p>
      )}
      <PostForm action={action} csrf={csrf} files={hasFileField(shown)}>
        {shown.map((field) => (
          <ValueField
            field={field}
            required={opened.fields.some((one) => one.field_id === field.field_id && one.required)}
            problem={field === refused ? problem?.replace(field.field_id, field.name) : undefined}
          />
        ))}
        {opened.verify && (
          <p class="muted small">
            The values are tested first, and saved only if {service.name} accepts them.
          </p>
        )}
        <div class="enter-actions">
          <Button name="decision" value="save">
            Save
          </Button>
          {children}
        </div>
      </PostForm>
    </>
  );
};

export const Saved: FC<{ readonly has_services: boolean }> = ({ has_services }) => (
  <Outcome
    mark="done"
    title="Saved"
    text="The values are stored, encrypted. The agent sees that it is done. You can close this page."
  >
    {has_services && <ButtonLink href="/dashboard">Go to services</ButtonLink>}
  </Outcome>
);

const ENDS: Partial<Record<ErrorReason, { readonly title: string; readonly text: string }>> = {
  handle_used: {
    title: 'This link was used already',
    text: 'The values were stored. To change them again, let the agent request a new page.',
  },
  handle_declined: {
    title: 'Declined',
    text: 'This request was declined. Nothing was stored. The agent sees it. You can close this page.',
  },
  handle_expired: {
    title: 'This link has expired',
    text: 'Nothing was stored. Let the agent request a new page.',
  },
};

export function endOf({ reason, message }: VaultError) {
  return (reason && ENDS[reason]) ?? { title: 'This link has ended', text: message };
}

export const Ended: FC<{ readonly error: VaultError }> = ({ error }) => (
  <Outcome mark={error.reason === 'handle_expired' ? 'waiting' : 'ended'} {...endOf(error)} />
);
