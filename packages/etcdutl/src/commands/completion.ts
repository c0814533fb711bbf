/** `etcdutl completion`. */
import { type Command, completionScript, type Shell } from '@etcd/host/cli';

const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish', 'powershell'];

export const COMPLETION: Command = {
  name: 'completion',
  usage: `[${SHELLS.join('|')}]`,
  summary: 'Prints a script that completes command lines',
  description: `Prints a script for a shell that completes command lines of etcdutl.

  bash        source <(etcdutl completion bash)
  zsh         etcdutl completion zsh > "\${fpath[1]}/_etcdutl"
  fish        etcdutl completion fish > ~/.config/fish/completions/etcdutl.fish
  PowerShell  etcdutl completion powershell | Out-String | Invoke-Expression`,
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
    if (shell !== undefined) io.out(completionScript(shell, 'etcdutl'));
  },
};
