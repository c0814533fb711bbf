/** Scripts that teach a shell to ask the program itself what may follow; see {@link complete}. */

export type Shell = 'bash' | 'zsh' | 'fish' | 'powershell';

export function completionScript(shell: Shell, program: string): string {
  return SCRIPTS[shell].replaceAll('PROGRAM', program).replaceAll('FUNCTION', program.replaceAll('-', '_'));
}

const BASH = `# bash completion for PROGRAM
_FUNCTION_complete() {
  local word=\${COMP_WORDS[COMP_CWORD]} output directive line
  output=$("\${COMP_WORDS[0]}" __completeNoDesc "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "$word" 2>/dev/null) || return
  directive=\${output##*:}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :[0-9]*) ;;
      *) [ -n "$line" ] && COMPREPLY+=("$line") ;;
    esac
  done <<<"$output"
  if [ \${#COMPREPLY[@]} -eq 0 ] && [ "$directive" = 0 ]; then
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o default -F _FUNCTION_complete PROGRAM
`;

const ZSH = `#compdef PROGRAM
_FUNCTION() {
  local output line
  local -a candidates
  output=$("\${words[1]}" __complete "\${(@)words[2,CURRENT-1]}" "\${words[CURRENT]}" 2>/dev/null) || return
  for line in "\${(@f)output}"; do
    case $line in
      :[0-9]*) ;;
      *) [[ -n $line ]] && candidates+=("\${line%%$'\\t'*}:\${line#*$'\\t'}") ;;
    esac
  done
  if (( \${#candidates} )); then
    _describe 'PROGRAM' candidates
  elif [[ $output == *:0 ]]; then
    _files
  fi
}
if [ "$funcstack[1]" = "_FUNCTION" ]; then
  _FUNCTION "$@"
else
  compdef _FUNCTION PROGRAM
fi
`;

const FISH = `# fish completion for PROGRAM
function __FUNCTION_complete
  set -l words (commandline -opc)
  set -l word (commandline -ct)
  set -l output ($words[1] __complete $words[2..-1] "$word" 2>/dev/null)
  set -l candidates (string match -rv '^:[0-9]+$' -- $output)
  if test (count $candidates) -gt 0
    printf '%s\n' $candidates
  else if contains -- :0 $output
    __fish_complete_path "$word"
  end
end
complete -c PROGRAM -e
complete -c PROGRAM -f -a '(__FUNCTION_complete)'
`;

const POWERSHELL = `# PowerShell completion for PROGRAM
Register-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $before = $commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition }
  $words = @($before | ForEach-Object { $_.ToString() })
  if ($wordToComplete -ne '') { $words = @($words[0..($words.Count - 2)]) }
  # Up to PowerShell 7.2 programs are not given empty arguments, unless they are written like this.
  $isModern = $PSNativeCommandArgumentPassing -and "$PSNativeCommandArgumentPassing" -ne 'Legacy'
  $last = if ($wordToComplete -ne '' -or $isModern) { $wordToComplete } else { '""' }
  $arguments = @('__complete') + @($words | Select-Object -Skip 1) + @($last)
  & $words[0] @arguments 2>$null | Where-Object { $_ -and $_ -notmatch '^:[0-9]+$' } | ForEach-Object {
    $text, $about = $_ -split "\`t", 2
    if (-not $about) { $about = $text }
    [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $about)
  }
}
`;

const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: BASH,
  zsh: ZSH,
  fish: FISH,
  powershell: POWERSHELL,
};
