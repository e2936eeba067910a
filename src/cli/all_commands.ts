/** All commands of the command line, in the order of its help. */
import { approvalsCommand } from './commands/approvals/approvals.ts';
import { auditCommand } from './commands/audit/audit.ts';
import { backupCommand, restoreCommand } from './commands/backup/command.ts';
import { callCommand } from './commands/call/call.ts';
import { completionCommand, hiddenCompleteCommand } from './commands/completion/completion.ts';
import { connectCommand } from './commands/connect.ts';
import { deleteCommand } from './commands/delete.ts';
import { doctorCommand } from './commands/doctor/doctor.ts';
import { initCommand } from './commands/init.ts';
import { installCommand } from './commands/install/command.ts';
import { keysCommand } from './commands/keys/keys.ts';
import { mcpCommand } from './commands/mcp.ts';
import { moveCommand } from './commands/move/command.ts';
import { notOfferedCommands } from './commands/not_offered.ts';
import { openCommand } from './commands/open.ts';
import { changePassphraseCommand, rotateCommand } from './commands/rotate/rotate.ts';
import { runCommand } from './commands/run/run.ts';
import { sealCommand } from './commands/seal.ts';
import { serveCommand } from './commands/serve.ts';
import { servicesCommand } from './commands/services/services.ts';
import { stacksCommand } from './commands/stacks/stacks.ts';
import { statusCommand } from './commands/status.ts';
import { storeCommand } from './commands/store.ts';
import { testCommand } from './commands/test/test.ts';
import { unitsCommand } from './commands/units.ts';
import { updateCommand } from './commands/update.ts';
import { usersCommand } from './commands/users.ts';
import type { ProgramContext } from './context.ts';
import type { AddCommands } from './program.ts';

export const allCommands =
  (context: ProgramContext): AddCommands =>
  (program) => {
    const commands = [
      initCommand(context),
      mcpCommand(context),
      serveCommand(context),
      openCommand(context),
      installCommand(context),
      storeCommand(context),
      updateCommand(context),
      connectCommand(context),
      statusCommand(context),
      servicesCommand(context),
      stacksCommand(context),
      deleteCommand(context),
      testCommand(context),
      callCommand(context),
      runCommand(context),
      sealCommand(context),
      keysCommand(context),
      unitsCommand(context),
      usersCommand(context),
      approvalsCommand(context),
      auditCommand(context),
      rotateCommand(context),
      changePassphraseCommand(context),
      backupCommand(context),
      restoreCommand(context),
      moveCommand(context),
      doctorCommand(context),
      completionCommand(context),
    ];
    for (const command of commands) program.addCommand(command);
    for (const command of notOfferedCommands()) program.addCommand(command, { hidden: true });
    program.addCommand(hiddenCompleteCommand(context, program), { hidden: true });
  };
