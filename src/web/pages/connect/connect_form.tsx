/** The form that starts a connection, with controls for the fields of the client that are not stored yet. */
import type { FC } from 'hono/jsx';
import type { ConnectDescription, ConnectGrant } from '../../../contract/connection.ts';
import type { Service } from '../../../contract/service/service.ts';
import { hasFileField, ValueField } from '../../forms/service_fields.tsx';
import { Button, Code, PostForm } from '../../layout/components.tsx';

interface FormProps {
  readonly service: Service;
  readonly description: ConnectDescription;
  readonly callback_url: string;
}

/** `grants`: each has a button. */
export const ConnectForm: FC<
  FormProps & { readonly action: string; readonly csrf: string; readonly grants?: readonly ConnectGrant[] }
> = ({ action, csrf, grants = ['authorization_code'], ...props }) => (
  <PostForm action={action} csrf={csrf} files={hasFileField(missingFields(props))}>
    <ClientFields {...props} />
    <div class="actions">
      {grants.map((grant, at) => (
        <Button kind={at === 0 ? 'primary' : 'secondary'} name="grant" value={grant}>
          {grant === 'device_code' ? 'Connect with a code' : connectLabel(props.description)}
        </Button>
      ))}
    </div>
  </PostForm>
);

function connectLabel({ service_name, status }: ConnectDescription): string {
  return status === 'needs_reconnect' ? `Reconnect ${service_name}` : `Connect with ${service_name}`;
}

const ClientFields: FC<FormProps> = (props) => {
  const { service, description, callback_url } = props;
  const missing = missingFields(props);
  const isRequired = (id: string) =>
    description.fields.some(({ field_id, required }) => field_id === id && required);
  if (!missing.some(({ field_id }) => isRequired(field_id)))
    return <p class="muted small">The client that you registered at {service.name} is stored.</p>;
  return (
    <>
      <p>Connections need a client that you register at {service.name} once.</p>
      {description.grants.includes('authorization_code') && (
        <p>
          Its redirect URI: <Code text={callback_url} />
        </p>
      )}
      {missing.map((field) => (
        <ValueField field={field} required={isRequired(field.field_id)} problem={undefined} />
      ))}
    </>
  );
};

/** The fields that a connection uses and that have no value. */
function missingFields({ description: { fields }, service }: FormProps): Service['fields'] {
  return service.fields.filter(({ field_id }) =>
    fields.some((one) => one.field_id === field_id && !one.added),
  );
}
