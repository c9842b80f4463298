complete -c kdrun -l key -d 'The key of the daemon\'s queue, decimal or 0x…' -r
complete -c kdrun -l qid -d 'The id of the daemon\'s queue, in place of its key' -r
complete -c kdrun -l wait -d 'How long a call waits for the daemon\'s queue to exist; then, and at once without this option, it fails with ENODEV' -r
complete -c kdrun -l layout -d 'The layout in which PROGRAM sends, should kerneld mistake it: ilp32-old, ilp32-new, lp64-old, lp64-new, or one of these with -be appended for big-endian. Put into the environment as KERNELD_LAYOUT' -r
complete -c kdrun -s v -l verbose -d 'Say on standard error how each intercepted call is answered'
complete -c kdrun -s h -l help -d 'Print help'
complete -c kdrun -s V -l version -d 'Print version'
