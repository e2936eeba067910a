/** The stacks of the person and those that are shared with it: list, create, rename, share, unshare and delete. */
import type { Hono } from 'hono';
import { includesRight, isGeneratedStackId, ShareInput, UnshareInput } from '../../contract/stack.ts';
import { parseInput } from '../../contract/validation.ts';
import { ConfirmPage } from '../layout/confirm_page.tsx';
import { definePage, type PageEnv, type PageParts, textOf } from '../page.ts';
import { redirectTo, showPage } from '../respond.tsx';
import { STACKS_PATH as LIST, pathOf, Stacks } from './stack_list.tsx';
import { Stack } from './stack_view.tsx';

export const stackPages = definePage({
  register(app, parts) {
    registerStacks(app, parts);
    registerShares(app, parts);
    registerDeletion(app, parts);
  },
});

function registerStacks(app: Hono<PageEnv>, { vault }: PageParts): void {
  app.get(LIST, async (c) => {
    const { caller, csrf } = c.var;
    const stacks = await vault.stacks.list(caller);
    const is_admin = caller.scopes.has('org:admin');
    const content = <Stacks stacks={stacks} csrf={csrf} user={caller.user} is_admin={is_admin} />;
    return showPage(c, { title: 'Stacks', section: 'stacks' }, content);
  });

  app.post(LIST, async (c) => {
    const stack_name = textOf(c.var.form, 'stack_name');
    const organization_owned = textOf(c.var.form, 'owner') === 'organization';
    const { stack_id } = await vault.stacks.create(c.var.caller, { stack_name, organization_owned });
    return redirectTo(c, pathOf(stack_id), { kind: 'success', text: `Created ${stack_name}.` });
  });

  app.get(`${LIST}/:stack_id`, async (c) => {
    const { caller, csrf } = c.var;
    const stack = await vault.stacks.get(caller, c.req.param('stack_id'));
    const may_share = isGeneratedStackId(stack.stack_id) && includesRight(stack.role, 'manage');
    const [shares, units] = may_share
      ? await Promise.all([
          vault.stack_shares.list(caller, stack.stack_id),
          vault.organizations.listUnits(caller),
        ])
      : [[], []];
    const nameOf = (service_id: string) => vault.services.find(service_id)?.name ?? service_id;
    const content = (
      <Stack stack={stack} shares={shares} units={units} nameOf={nameOf} csrf={csrf} user={caller.user} />
    );
    return showPage(c, { title: stack.stack_name, section: 'stacks' }, content);
  });

  app.post(`${LIST}/:stack_id/rename`, async (c) => {
    const stack_id = c.req.param('stack_id');
    await vault.stacks.update(c.var.caller, stack_id, { stack_name: textOf(c.var.form, 'stack_name') });
    return redirectTo(c, pathOf(stack_id), { kind: 'success', text: 'The name was changed.' });
  });
}

function registerShares(app: Hono<PageEnv>, { vault }: PageParts): void {
  app.post(`${LIST}/:stack_id/share`, async (c) => {
    const { caller, form } = c.var;
    const stack_id = c.req.param('stack_id');
    const input = parseInput(ShareInput, { ...granteeOf(form), role: textOf(form, 'role') }, 'the share');
    await vault.stack_shares.share(caller, stack_id, input);
    return redirectTo(c, pathOf(stack_id), { kind: 'success', text: 'The stack was shared.' });
  });

  app.get(`${LIST}/:stack_id/unshare`, async (c) => {
    const { caller, csrf } = c.var;
    const stack = await vault.stacks.get(caller, c.req.param('stack_id'));
    const [user, unit] = [c.req.query('user') ?? '', c.req.query('unit') ?? ''];
    const path = pathOf(stack.stack_id);
    const content = (
      <ConfirmPage
        title="End the share?"
        text={`From the next request on, ${user === '' ? 'the users of this unit' : user} cannot use the stack ${stack.stack_name}.`}
        label="End share"
        action={`${path}/unshare`}
        cancel_href={path}
        csrf={csrf}
        fields={user === '' ? { unit } : { user }}
      />
    );
    return showPage(c, { title: 'End the share', section: 'stacks' }, content);
  });

  app.post(`${LIST}/:stack_id/unshare`, async (c) => {
    const { caller, form } = c.var;
    const stack_id = c.req.param('stack_id');
    const input = parseInput(UnshareInput, granteeOf(form), 'the share');
    await vault.stack_shares.unshare(caller, stack_id, input);
    // A person who ended its own share no longer sees the stack.
    const next = input.user === caller.user ? LIST : pathOf(stack_id);
    return redirectTo(c, next, { kind: 'success', text: 'The share has ended.' });
  });
}

function registerDeletion(app: Hono<PageEnv>, { vault }: PageParts): void {
  app.get(`${LIST}/:stack_id/delete`, async (c) => {
    const stack = await vault.stacks.get(c.var.caller, c.req.param('stack_id'));
    const path = pathOf(stack.stack_id);
    const services = stack.services.map(({ service_id }) => service_id).join(', ');
    const content = (
      <ConfirmPage
        title={`Delete ${stack.stack_name}?`}
        text={`All credentials in it are deleted${services === '' ? '' : `: ${services}`}. This cannot be undone.`}
        label="Delete stack"
        action={`${path}/delete`}
        cancel_href={path}
        csrf={c.var.csrf}
      />
    );
    return showPage(c, { title: 'Delete stack', section: 'stacks' }, content);
  });

  app.post(`${LIST}/:stack_id/delete`, async (c) => {
    await vault.stacks.delete(c.var.caller, c.req.param('stack_id'));
    return redirectTo(c, LIST, { kind: 'success', text: 'The stack was deleted.' });
  });
}

/** The user or the unit of a share, as far as the person entered one. */
function granteeOf(form: FormData): { user?: string; unit?: string } {
  const [user, unit] = [textOf(form, 'user'), textOf(form, 'unit')];
  return { ...(user === '' ? {} : { user }), ...(unit === '' ? {} : { unit }) };
}
