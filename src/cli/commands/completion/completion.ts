/**
 * `keyhold completion`: prints a shell script that completes commands, options and service ids. The script runs
 * `keyhold __complete`, which prints one candidate per line and never an error.
 */
import { Argument, Command } from 'commander';
import type { CliContext } from '../../context.ts';
import { examples, print } from '../../terminal/output.ts';
import { TerminalText } from '../../terminal/terminal_text.ts';

export function completionCommand(context: CliContext): Command {
  return new Command('completion')
    .description('Print a script that completes commands, options and service ids in your shell.')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      examples(
        "echo 'source <(keyhold completion bash)' >> ~/.bashrc",
        'keyhold completion zsh > ~/.zsh/completions/_keyhold   # a folder in $fpath',
        'keyhold completion fish > ~/.config/fish/completions/keyhold.fish',
      ),
    )
    .action(async (shell: string) => {
      const { SCRIPTS } = await import('./scripts.ts');
      await print(context, new TerminalText((SCRIPTS.get(shell) ?? '').trimEnd()));
    });
}

/** Takes the arguments after `keyhold`; the last one is being typed, and may be empty. */
export function hiddenCompleteCommand(context: CliContext, program: Command): Command {
  return new Command('__complete')
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: readonly string[]) => {
      try {
        const { candidates } = await import('./candidates.ts');
        const found = await candidates(context, program, words);
        if (found.length > 0) await print(context, found);
      } catch {
        // An error message would garble the line that the user is typing.
      }
    });
}
