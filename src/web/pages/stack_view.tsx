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
import { Logo } from '../layout/logo.tsx';
import { servicesPath, toolPath } from './services/stack_switch.tsx';
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
  readonly nameOf: (service_id: string) => string;
  readonly csrf: string;
  readonly user: string;
}> = ({ stack, shares, units, nameOf, csrf, user }) => {
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
        <ButtonLink href={servicesPath(stack_id)} kind="primary">
          Add a service
        </ButtonLink>
        {role !== 'owner' && (
          <ButtonLink href={`${path}/unshare?user=${encodeURIComponent(user)}`} dialog>
            Leave
          </ButtonLink>
        )}
      </PageHeading>
      {services.length === 0 ? (
        <EmptyState title="No services yet">
          <p>Add a service here, or on the command line:</p>
          <Code text={`keyhold store SERVICE --stack ${stack_id}`} />
        </EmptyState>
      ) : (
        <ul class="rows">
          {services.map(({ service_id }) => (
            <li>
              <a class="row" href={toolPath(service_id, stack_id)}>
                <Logo service_id={service_id} name={nameOf(service_id)} />
                <span class="row-main">
                  <span class="row-title">{nameOf(service_id)}</span>
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
      {may_manage && isGeneratedStackId(stack_id) && (
        <Sharing path={path} shares={shares} units={units} csrf={csrf} />
      )}
      {may_manage && <StackSettings stack={stack} csrf={csrf} />}
    </>
  );
};

const Sharing: FC<{
  readonly path: string;
  readonly shares: readonly StackShare[];
  readonly units: readonly UnitInfo[];
  readonly csrf: string;
}> = ({ path, shares, units, csrf }) => (
  <section class="group">
    <h2>Access</h2>
    {shares.length > 0 && (
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
    <Card title={shares.length === 0 ? 'This stack is not shared' : 'Share with others'}>
      <PostForm action={`${path}/share`} csrf={csrf} class="field-row">
        <Field name="user" label="User" placeholder="ana" />
        <Field
          name="unit"
          label="Unit"
          options={[
            { value: '', label: 'Instead of a user' },
            ...units.map(({ id, name }) => ({ value: id, label: name })),
          ]}
        />
        <Field name="role" label="Role" options={ROLE_OPTIONS} required />
        <Button>Share</Button>
      </PostForm>
    </Card>
  </section>
);

const StackSettings: FC<{ readonly stack: StackInfo; readonly csrf: string }> = ({
  stack: { stack_id, stack_name, role },
  csrf,
}) => {
  const path = pathOf(stack_id);
  return (
    <section class="group">
      <h2>Settings</h2>
      <ul class="rows">
        <li class="row setting">
          <span class="row-main">
            <span class="row-title">Name</span>
            <span class="row-text">The id {stack_id} stays.</span>
          </span>
          <details class="setting-change">
            <summary class="button button-secondary">Rename</summary>
            <PostForm action={`${path}/rename`} csrf={csrf}>
              <Field
                name="stack_name"
                label="Name"
                value={stack_name.slice(0, NAME_MAX_CHARACTERS)}
                required
              />
              <Button>Save name</Button>
            </PostForm>
          </details>
        </li>
        {role === 'owner' && (
          <li class="row setting">
            <span class="row-main">
              <span class="row-title">Delete this stack</span>
              <span class="row-text">All credentials in it are deleted too. This cannot be undone.</span>
            </span>
            <ButtonLink href={`${path}/delete`} kind="danger-quiet" dialog>
              Delete
            </ButtonLink>
          </li>
        )}
      </ul>
    </section>
  );
};

function queryOf({ user, unit_id }: StackShare): URLSearchParams {
  return new URLSearchParams(user === null ? { unit: unit_id ?? '' } : { user });
}
