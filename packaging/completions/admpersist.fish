complete -c admpersist -l file -d 'The file of values [default: what `[persist]` file in the configuration says, else /var/lib/kerneld/persist.gdbm]; kerneld\'s own was /lib/modules/RELEASE/persist.gdbm' -r -F
complete -c admpersist -l config -d 'kerneld\'s configuration [default: /etc/kerneld.toml if it is there]' -r -F
complete -c admpersist -s d -d 'Delete these keys'
complete -c admpersist -s h -l help -d 'Print help'
complete -c admpersist -s V -l version -d 'Print version'
