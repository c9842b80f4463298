# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kerneld_global_optspecs
    string join \n foreground key= state-dir= modprobe= dry-run config= check-config ready-fd= h/help V/version
end

function __fish_kerneld_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kerneld_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kerneld_using_subcommand
    set -l cmd (__fish_kerneld_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kerneld -n "__fish_kerneld_needs_command" -l key -d 'The queue\'s key, decimal or 0x…' -r
complete -c kerneld -n "__fish_kerneld_needs_command" -l state-dir -d 'Where the pid file and other state go [default: /run/kerneld for root]' -r -F
complete -c kerneld -n "__fish_kerneld_needs_command" -l modprobe -d 'The helper, in place of what /proc/sys/kernel/modprobe names' -r -F
complete -c kerneld -n "__fish_kerneld_needs_command" -l config -d 'Configuration [default: /etc/kerneld.toml if that file exists]' -r -F
complete -c kerneld -n "__fish_kerneld_needs_command" -l ready-fd -d 'Write a line to this open descriptor once requests are served, and close it' -r
complete -c kerneld -n "__fish_kerneld_needs_command" -l foreground -d 'Stay in the foreground, and log to standard error'
complete -c kerneld -n "__fish_kerneld_needs_command" -l dry-run -d 'Log what would run, and answer 0'
complete -c kerneld -n "__fish_kerneld_needs_command" -l check-config -d 'Report every mistake in the configuration, and start nothing'
complete -c kerneld -n "__fish_kerneld_needs_command" -s h -l help -d 'Print help'
complete -c kerneld -n "__fish_kerneld_needs_command" -s V -l version -d 'Print version'
complete -c kerneld -n "__fish_kerneld_needs_command" -a "demo" -d 'Shows requests in every layout, what ran and what came back, on a queue and in a folder of its own. Leaves nothing behind; the exit status is 0 if everything went as expected'
complete -c kerneld -n "__fish_kerneld_needs_command" -a "autoclean" -d 'Unloads unused modules that came in through kerneld, as `rmmod -a` did'
complete -c kerneld -n "__fish_kerneld_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kerneld -n "__fish_kerneld_using_subcommand demo" -s h -l help -d 'Print help'
complete -c kerneld -n "__fish_kerneld_using_subcommand autoclean" -l state-dir -d 'The daemon\'s state directory [default: /run/kerneld for root]' -r -F
complete -c kerneld -n "__fish_kerneld_using_subcommand autoclean" -l once -d 'Do one sweep; a module goes at the second that finds it unused'
complete -c kerneld -n "__fish_kerneld_using_subcommand autoclean" -s q -l quiet -d 'Print nothing but errors, for a line in a crontab'
complete -c kerneld -n "__fish_kerneld_using_subcommand autoclean" -s h -l help -d 'Print help'
complete -c kerneld -n "__fish_kerneld_using_subcommand help; and not __fish_seen_subcommand_from demo autoclean help" -f -a "demo" -d 'Shows requests in every layout, what ran and what came back, on a queue and in a folder of its own. Leaves nothing behind; the exit status is 0 if everything went as expected'
complete -c kerneld -n "__fish_kerneld_using_subcommand help; and not __fish_seen_subcommand_from demo autoclean help" -f -a "autoclean" -d 'Unloads unused modules that came in through kerneld, as `rmmod -a` did'
complete -c kerneld -n "__fish_kerneld_using_subcommand help; and not __fish_seen_subcommand_from demo autoclean help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
