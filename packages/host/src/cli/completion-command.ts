/** The command `completion` of a program: prints the script with which a shell completes its command lines. */
import type { Command } from './command.ts';
import { completionScript, type Shell } from './scripts.ts';

const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish', 'powershell'];

/** @param program as it is called on a command line. */
export function completionCommand(program: string, place: Pick<Command, 'group'> = {}): Command {
  return {
    ...place,
    name: 'completion',
    usage: `[${SHELLS.join('|')}]`,
    summary: 'Prints a script that completes command lines',
    description: `Prints a script for a shell that completes command lines of ${program}.

  bash        source <(${program} completion bash)
  zsh         ${program} completion zsh > "\${fpath[1]}/_${program}"
  fish        ${program} completion fish > ~/.config/fish/completions/${program}.fish
  PowerShell  ${program} completion powershell | Out-String | Invoke-Expression`,
    argumentValues: SHELLS,
    argumentProblem(args, path) {
      const [shell] = args;
      if (args.length !== 1) return `accepts 1 arg(s), received ${args.length}`;
      return SHELLS.some((known) => known === shell)
        ? null
        : `invalid argument ${JSON.stringify(shell)} for "${path}"`;
    },
    run({ args, io }) {
      const shell = SHELLS.find((known) => known === args[0]);
      if (shell !== undefined) io.out(completionScript(shell, program));
    },
  };
}
