complete -c kdsend -l key -d 'The queue\'s key, decimal or 0x…' -r
complete -c kdsend -l timeout -d 'Wait this long for an answer [default: for ever, like the old programs]' -r
complete -c kdsend -l layout -d 'Speak as these programs did: ilp32-old, ilp32-new, lp64-old, lp64-new, or, with -be appended, those of big-endian machines [default: what a program of this machine spoke in the new protocol]' -r
complete -c kdsend -s r -d 'Wait for the answer and print it'
complete -c kdsend -l historical-exit -d 'Exit with the answer\'s length in bytes, as the old kdsend did'
complete -c kdsend -s h -l help -d 'Print help'
complete -c kdsend -s V -l version -d 'Print version'
