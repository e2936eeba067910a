/** The tables of a vault, which have the same names in every engine. */
export const TABLES = ['vault', 'wrapped_key', 'record', 'audit_entry', 'audit_chain'] as const;
