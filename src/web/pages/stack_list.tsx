/** The list of stacks, and the parts that it shares with the page of one stack. */
import type { FC } from 'hono/jsx';
import { ORGANIZATION_OWNER, type StackInfo, type StackRight } from '../../contract/stack.ts';
import { Badge, Button, Card, Field, PageHeading, PostForm, Table, Time } from '../layout/components.tsx';

export const STACKS_PATH = '/dashboard/stacks';

export function pathOf(stack_id: string): string {
  return `${STACKS_PATH}/${encodeURIComponent(stack_id)}`;
}

export function ownerOf({ owner }: StackInfo, user?: string): string {
  if (owner === ORGANIZATION_OWNER) return 'the organization';
  return owner === user ? 'you' : owner;
}

export const RoleBadge: FC<{ readonly role: StackRight }> = ({ role }) => (
  <Badge tone={role === 'owner' ? 'accent' : 'neutral'}>{role}</Badge>
);

export const Stacks: FC<{
  readonly stacks: readonly StackInfo[];
  readonly csrf: string;
  readonly is_admin: boolean;
}> = ({ stacks, csrf, is_admin }) => (
  <>
    <PageHeading
      title="Stacks"
      text="A stack is a set of services and credentials. A created one can be shared. No share shows a value."
    />
    <Table caption="Stacks" columns={['Stack', 'Services', 'Owner', 'Your role', 'Shares', 'Changed']}>
      {stacks.map((stack) => (
        <tr>
          <td>
            <a href={pathOf(stack.stack_id)}>{stack.stack_name}</a>
          </td>
          <td>{stack.services.length}</td>
          <td>{ownerOf(stack)}</td>
          <td>
            <RoleBadge role={stack.role} />
          </td>
          <td>{stack.shared_with}</td>
          <td>
            <Time at={stack.updated_at} />
          </td>
        </tr>
      ))}
    </Table>
    <Card title="Create a stack">
      <PostForm action={STACKS_PATH} csrf={csrf}>
        <Field name="stack_name" label="Name" placeholder="Production" required />
        {is_admin && (
          <Field
            name="owner"
            label="Owner"
            required
            options={[
              { value: 'me', label: 'You' },
              { value: 'organization', label: 'The organization' },
            ]}
          />
        )}
        <Button>Create stack</Button>
      </PostForm>
    </Card>
  </>
);
