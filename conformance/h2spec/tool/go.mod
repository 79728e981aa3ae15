// Pins h2spec and all it needs; built by `provideGoProgram` of tools/peers.ts. Versions that Go 1.19 can build, as Debian has it.
module ferrata.invalid/conformance/h2spec

go 1.19

require (
	github.com/summerwind/h2spec v2.2.1+incompatible
	github.com/fatih/color v1.15.0
	github.com/spf13/cobra v1.7.0
	golang.org/x/net v0.17.0
)
