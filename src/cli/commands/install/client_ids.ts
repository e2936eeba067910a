/** The ids of the MCP clients, for the help of `keyhold install`, which every command loads. `clients.ts` has the table. */
export const CLIENT_IDS = ['claude-code', 'claude-desktop', 'cursor', 'vscode', 'windsurf'] as const;
export type ClientId = (typeof CLIENT_IDS)[number];
