# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kdstat_global_optspecs
    string join \n key= timeout= layout= json h/help V/version
end

function __fish_kdstat_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kdstat_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kdstat_using_subcommand
    set -l cmd (__fish_kdstat_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kdstat -n "__fish_kdstat_needs_command" -l key -d 'The queue\'s key, decimal or 0x…' -r
complete -c kdstat -n "__fish_kdstat_needs_command" -l timeout -d 'Wait this long for an answer [default: for ever, like the old programs]' -r
complete -c kdstat -n "__fish_kdstat_needs_command" -l layout -d 'Speak as these programs did: ilp32-old, ilp32-new, lp64-old, lp64-new, or, with -be appended, those of big-endian machines [default: what a program of this machine spoke in the new protocol]' -r
complete -c kdstat -n "__fish_kdstat_needs_command" -l json -d 'Print the state as JSON'
complete -c kdstat -n "__fish_kdstat_needs_command" -s h -l help -d 'Print help'
complete -c kdstat -n "__fish_kdstat_needs_command" -s V -l version -d 'Print version'
complete -c kdstat -n "__fish_kdstat_needs_command" -a "watch" -d 'Show requests as they are answered: when, status, milliseconds, who sent what, what ran'
complete -c kdstat -n "__fish_kdstat_needs_command" -a "senders" -d 'Show who sent which requests, how often, and when last'
complete -c kdstat -n "__fish_kdstat_using_subcommand watch" -l state-dir -d 'The daemon\'s state directory [default: /run/kerneld for root]' -r -F
complete -c kdstat -n "__fish_kdstat_using_subcommand watch" -l json -d 'Print JSON'
complete -c kdstat -n "__fish_kdstat_using_subcommand watch" -l all -d 'Begin with those that the journal still holds'
complete -c kdstat -n "__fish_kdstat_using_subcommand watch" -s h -l help -d 'Print help'
complete -c kdstat -n "__fish_kdstat_using_subcommand senders" -l state-dir -d 'The daemon\'s state directory [default: /run/kerneld for root]' -r -F
complete -c kdstat -n "__fish_kdstat_using_subcommand senders" -l json -d 'Print JSON'
complete -c kdstat -n "__fish_kdstat_using_subcommand senders" -s h -l help -d 'Print help'
