"""What tests share: waiting, ports, servers."""
