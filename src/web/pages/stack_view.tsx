/** The page of one stack: its services, who has access, its name. */
import type { FC } from 'hono/jsx';
import type { UnitInfo } from '../../contract/api_key.ts';
import { NAME_MAX_CHARACTERS } from '../../contract/limits.ts';
import { includesRight, isGeneratedStackId, type StackInfo, type StackShare } from '../../contract/stack.ts';
import {
  Button,
  ButtonLink,
  Card,
  Code,
  EmptyState,
  Field,
  PageHeading,
  PostForm,
  Table,
  Time,
} from '../layout/components.tsx';
import { ownerOf, pathOf, RoleBadge, STACKS_PATH } from './stack_list.tsx';

const ROLE_OPTIONS = [
  { value: 'use', label: 'Use: call and test' },
  { value: 'edit', label: 'Edit: also change credentials' },
  { value: 'manage', label: 'Manage: also rename and share' },
];

export const Stack: FC<{
  readonly stack: StackInfo;
  readonly shares: readonly StackShare[];
  readonly units: readonly UnitInfo[];
  readonly csrf: string;
  readonly user: string;
}> = ({ stack, shares, units, csrf, user }) => {
  const { stack_id, stack_name, role, services } = stack;
  const path = pathOf(stack_id);
  const may_manage = includesRight(role, 'manage');
  return (
    <>
      <PageHeading
        title={stack_name}
        text={`Owned by ${ownerOf(stack, user)}. Your role: ${role}.`}
        back={{ href: STACKS_PATH, label: 'Stacks' }}
      >
        {role === 'owner' ? (
          <ButtonLink href={`${path}/delete`} kind="danger" dialog>
            Delete
          </ButtonLink>
        ) : (
          <ButtonLink href={`${path}/unshare?user=${encodeURIComponent(user)}`} dialog>
            Leave
          </ButtonLink>
        )}
      </PageHeading>
      <Card title="Services">
        {services.length === 0 ? (
          <EmptyState title="No services yet">
            <p>
              Store a credential with <Code text={`keyhold store SERVICE --stack ${stack_id}`} />
            </p>
          </EmptyState>
        ) : (
          <ul class="rows">
            {services.map(({ service_id }) => (
              <li class="row">{service_id}</li>
            ))}
          </ul>
        )}
      </Card>
      {may_manage && isGeneratedStackId(stack_id) && (
        <Sharing path={path} shares={shares} units={units} csrf={csrf} />
      )}
      {may_manage && (
        <Card title="Name">
          <PostForm action={`${path}/rename`} csrf={csrf}>
            <Field name="stack_name" label="Name" value={stack_name.slice(0, NAME_MAX_CHARACTERS)} required />
            <Button kind="secondary">Rename</Button>
          </PostForm>
        </Card>
      )}
    </>
  );
};

const Sharing: FC<{
  readonly path: string;
  readonly shares: readonly StackShare[];
  readonly units: readonly UnitInfo[];
  readonly csrf: string;
}> = ({ path, shares, units, csrf }) => (
  <Card title="Access">
    {shares.length === 0 ? (
      <p class="muted">This stack is not shared.</p>
    ) : (
      <Table caption="Access" columns={['With', 'Role', 'Shared by', 'Since', 'End']}>
        {shares.map((share) => (
          <tr>
            <td>{share.user ?? `Unit ${share.unit_name}`}</td>
            <td>
              <RoleBadge role={share.role} />
            </td>
            <td>{share.shared_by}</td>
            <td>
              <Time at={share.shared_at} />
            </td>
            <td>
              <ButtonLink href={`${path}/unshare?${queryOf(share)}`} kind="quiet" dialog>
                End share
              </ButtonLink>
            </td>
          </tr>
        ))}
      </Table>
    )}
    <PostForm action={`${path}/share`} csrf={csrf}>
      <Field name="user" label="User" description="The name of a user, or choose a unit below." />
      <Field
        name="unit"
        label="Unit"
        options={[
          { value: '', label: 'No unit' },
          ...units.map(({ id, name }) => ({ value: id, label: name })),
        ]}
      />
      <Field name="role" label="Role" options={ROLE_OPTIONS} required />
      <Button>Share</Button>
    </PostForm>
  </Card>
);

function queryOf({ user, unit_id }: StackShare): URLSearchParams {
  return new URLSearchParams(user === null ? { unit: unit_id ?? '' } : { user });
}
