/** What a person does first: before a stack has a credential. */
import type { FC } from 'hono/jsx';
import { Card, Code } from '../../layout/components.tsx';

export const FirstSteps: FC<{
  /** The person is at the machine of the vault, where `keyhold install` works. */
  readonly is_local: boolean;
  readonly mcp_url: string;
}> = ({ is_local, mcp_url }) => (
  <Card title="Get started">
    <ol class="steps">
      <li>
        <h3>Connect a service</h3>
        <p>Choose one below and enter its credential. It is encrypted, and no agent can read it back.</p>
      </li>
      <li>
        <h3>Connect your agent</h3>
        {is_local ? (
          <p>
            <Code text="keyhold install claude-code" /> adds Keyhold to Claude Code. Also{' '}
            <code>claude-desktop</code>, <code>cursor</code>, <code>vscode</code> and <code>windsurf</code>.
          </p>
        ) : (
          <p>
            <a href="/dashboard/keys/new">Create an API key</a> for it, and add the MCP server{' '}
            <Code text={mcp_url} />
          </p>
        )}
      </li>
      <li>
        <h3>Let the agent work</h3>
        <p>
          It calls services through Keyhold. Every use is in the <a href="/dashboard/audit">audit log</a>, and{' '}
          <a href="/dashboard/approvals">approvals</a> wait for you here.
        </p>
      </li>
    </ol>
  </Card>
);
