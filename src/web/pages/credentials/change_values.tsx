/** The controls that replace values of a stored credential. The stored values are not in them. */
import type { FC } from 'hono/jsx';
import type { CredentialInfo, CredentialStatus } from '../../../contract/credential.ts';
import type { FieldDefinition } from '../../../contract/service/fields.ts';
import type { Service } from '../../../contract/service/service.ts';
import { EXPIRES_FIELD, type FieldProblem } from '../../forms/read_fields.ts';
import { hasFileField, ProblemMessage, ServiceFields } from '../../forms/service_fields.tsx';
import { Button, ButtonLink, Card, Field, PageHeading, PostForm } from '../../layout/components.tsx';
import { shownName } from './credential_view.tsx';
import { credentialPath } from './lookup.ts';

/** `change`: any value; one that is left empty stays. `rotate`: all secrets that are stored. */
export type ChangeKind = 'change' | 'rotate';

export function changedFields(
  kind: ChangeKind,
  service: Service,
  { required_credentials, optional_credentials }: CredentialStatus,
): readonly FieldDefinition[] {
  if (kind === 'change') return service.fields;
  const presence = { ...required_credentials, ...optional_credentials };
  return service.fields.filter(({ field_id, secret }) => secret && presence[field_id] === 'added');
}

export const ChangeValues: FC<{
  readonly kind: ChangeKind;
  readonly info: CredentialInfo;
  readonly service: Service;
  readonly fields: readonly FieldDefinition[];
  readonly csrf: string;
  readonly problem: FieldProblem | undefined;
}> = ({ kind, info, service, fields, csrf, problem }) => {
  const path = credentialPath(info.id);
  const name = shownName(info, service);
  const is_rotation = kind === 'rotate';
  return (
    <>
      <PageHeading
        title={is_rotation ? `Rotate ${name}` : `Change values of ${name}`}
        text={
          is_rotation
            ? 'Create a new secret at the service, enter it here, then revoke the old one there.'
            : 'Stored values are not shown. A field that you leave empty stays as it is.'
        }
        back={{ href: path, label: name }}
      />
      <Card>
        <ProblemMessage problem={problem} />
        <PostForm action={`${path}/${kind}`} csrf={csrf} files={hasFileField(fields)}>
          <ServiceFields
            fields={fields}
            problem={problem}
            required={new Set(is_rotation ? fields.map(({ field_id }) => field_id) : [])}
          />
          <Field
            name={EXPIRES_FIELD}
            label="Expires"
            description="Date and time in UTC. Without one, a new secret does not expire."
            type="datetime-local"
          />
          <label class="check">
            <input type="checkbox" name="verify" value="yes" /> Test first, and save only if {service.name}{' '}
            accepts it
          </label>
          <div class="actions">
            <Button>{is_rotation ? 'Replace secrets' : 'Save changes'}</Button>
            <ButtonLink href={path}>Cancel</ButtonLink>
          </div>
        </PostForm>
      </Card>
    </>
  );
};
