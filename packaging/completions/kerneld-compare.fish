# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kerneld_compare_global_optspecs
    string join \n old= layout= new= scenarios= trace= differences= format= all at-once= h/help V/version
end

function __fish_kerneld_compare_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kerneld_compare_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kerneld_compare_using_subcommand
    set -l cmd (__fish_kerneld_compare_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l old -d 'The old side: model, or a program that serves the channel, as kerneld itself' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l layout -d 'The layout that the old program speaks: ilp32-old, ilp32-new, lp64-old, lp64-new [default: found by asking it]' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l new -d 'The new side: a kerneld of ours, or model [default: the kerneld beside this program]' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l scenarios -d 'A folder of scenarios, or one' -r -F
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l trace -d 'In place of scenarios, what the journal of this state directory recorded' -r -F
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l differences -d 'The intended differences' -r -F
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l format -d 'How to write the report' -r -f -a "table\t'For people'
json\t'Everything'
junit\t'A test case a scenario'
tap\t'A line a scenario (TAP 14)'"
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l at-once -d 'Scenarios run at a time [default: four for each processor]' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -l all -d 'Show what agrees, too'
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -s V -l version -d 'Print version'
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -a "bench" -d 'Measures how long requests take, beside starting the helper oneself'
complete -c kerneld-compare -n "__fish_kerneld_compare_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l new -d 'The kerneld to measure [default: the one beside this program]' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l old -d 'An old kerneld to measure beside it' -r -F
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l layout -d 'The layout that the old kerneld speaks [default: found by asking it]' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l clients -d 'Clients at once' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l requests -d 'Requests of each workload and subject' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l rounds -d 'How often the subjects take turns' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l waiting -d 'Delayed releases that wait in the last workload' -r
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l helper -d 'The helper [default: a program that does nothing]' -r -F
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l svg -d 'Write a chart to this file' -r -F
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -l json -d 'Write the figures as JSON'
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand bench" -s h -l help -d 'Print help'
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand help; and not __fish_seen_subcommand_from bench help" -f -a "bench" -d 'Measures how long requests take, beside starting the helper oneself'
complete -c kerneld-compare -n "__fish_kerneld_compare_using_subcommand help; and not __fish_seen_subcommand_from bench help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
