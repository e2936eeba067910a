/** The completion scripts. Each passes the words of the line to `keyhold __complete` and offers its output. */

// Works in bash 3.2 too, which macOS still has: no mapfile, no compopt.
const BASH = `# bash completion for keyhold
_keyhold_completion() {
  local IFS=$'\\n'
  COMPREPLY=($(keyhold __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _keyhold_completion keyhold
`;

const ZSH = `#compdef keyhold
# zsh completion for keyhold
_keyhold() {
  local -a candidates
  candidates=("\${(@f)$(keyhold __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=("\${(@)candidates:#}")
  if (( \${#candidates} )); then
    compadd -a candidates
  else
    _files
  fi
}
if [ "\${funcstack[1]}" = _keyhold ]; then
  _keyhold "$@"
else
  compdef _keyhold keyhold
fi
`;

const FISH = `# fish completion for keyhold
function __keyhold_complete
    set -l words (commandline -opc) (commandline -ct)
    keyhold __complete -- $words[2..-1] 2>/dev/null
end
complete -c keyhold -f -a '(__keyhold_complete)'
complete -c keyhold -n '__fish_seen_subcommand_from add' -F
`;

export const SCRIPTS: ReadonlyMap<string, string> = new Map([
  ['bash', BASH],
  ['zsh', ZSH],
  ['fish', FISH],
]);
