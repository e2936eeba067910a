/** The list of stacks, and the parts that it shares with the page of one stack. */
import type { FC } from 'hono/jsx';
import { ORGANIZATION_OWNER, type StackInfo, type StackRight } from '../../contract/stack.ts';
import { Badge, Button, Card, Field, PageHeading, PostForm, Time } from '../layout/components.tsx';

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
  readonly user: string;
  readonly is_admin: boolean;
}> = ({ stacks, csrf, user, is_admin }) => (
  <>
    <PageHeading
      title="Stacks"
      text="A stack is a set of services and credentials. A created one can be shared. No share shows a value."
    />
    <ul class="rows">
      {stacks.map((stack) => (
        <StackRow stack={stack} user={user} />
      ))}
    </ul>
    <section class="group">
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
    </section>
  </>
);

const StackRow: FC<{ readonly stack: StackInfo; readonly user: string }> = ({ stack, user }) => {
  const { stack_id, stack_name, services, role, shared_with, updated_at } = stack;
  return (
    <li>
      <a class="row" href={pathOf(stack_id)}>
        <span class="row-main">
          <span class="row-title">{stack_name}</span>
          <span class="row-text">
            {countOf(services.length, 'service')}, owned by {ownerOf(stack, user)}
            {shared_with > 0 && `, shared with ${shared_with}`}, changed <Time at={updated_at} />
          </span>
        </span>
        <span class="row-aside">{role !== 'owner' && <RoleBadge role={role} />}</span>
      </a>
    </li>
  );
};

function countOf(count: number, noun: string): string {
  return `${count === 0 ? 'No' : count} ${noun}${count === 1 ? '' : 's'}`;
}
