# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kerneld_migrate_global_optspecs
    string join \n root= config= target= kernel= kernel-root= assume= output= format= h/help V/version
end

function __fish_kerneld_migrate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kerneld_migrate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kerneld_migrate_using_subcommand
    set -l cmd (__fish_kerneld_migrate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -s V -l version -d 'Print version'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "plan" -d 'Show what would be written and what becomes of every line (the default); several roots give a summary'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "apply" -d 'Write the new files, keeping the old ones for `undo`'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "undo" -d 'Put everything back as it was'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "verify" -d 'Ask the real modprobe whether every name still gives the same modules, options and commands'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "explain" -d 'Show what a name did then and does now, side by side'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "legacy-names" -d 'Write aliases by which requests in old names find today\'s modules (--root and --kernel name the kernel)'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -l full -d 'Also show each new file as a difference, and what becomes of every line'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l accept -d 'Go on although this line needs a person' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -l force -d 'Also when a written file was changed since'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l root -d 'The old system\'s root directory' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l config -d 'The configuration file, as a path below the root [default: the one that modutils chooses]' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l target -d 'Which kernels the result is for' -r -f -a "kmod\t'Today\'s kernels and kmod'
busybox\t'Today\'s kernels and busybox\'s modprobe, which knows aliases, options and blacklists alone'
modutils\t'Kernels 2.2 and 2.4 and modutils'"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l kernel -d 'The kernel release that `uname -r` in the configuration stands for, and whose index is used' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l kernel-root -d 'A directory that holds the target kernel\'s lib/modules/RELEASE [default: the root]' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l assume -d 'State something about the running system that `if` asks for: called-by-kernel, called-by-hand, file:PATH or no-file:PATH' -r
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l output -d 'Write the new files below this directory instead of the root' -r -F
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -l format -d 'How to print' -r -f -a "text\t''
json\t''
html\t''"
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand legacy-names" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "plan" -d 'Show what would be written and what becomes of every line (the default); several roots give a summary'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "apply" -d 'Write the new files, keeping the old ones for `undo`'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "undo" -d 'Put everything back as it was'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "verify" -d 'Ask the real modprobe whether every name still gives the same modules, options and commands'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "explain" -d 'Show what a name did then and does now, side by side'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "legacy-names" -d 'Write aliases by which requests in old names find today\'s modules (--root and --kernel name the kernel)'
complete -c kerneld-migrate -n "__fish_kerneld_migrate_using_subcommand help; and not __fish_seen_subcommand_from plan apply undo verify explain legacy-names help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
