// Package engine takes Runs through their lives: it has the store make those that
// the tags allow, lets them in as the machine has room, hands them to the executor,
// and seals and records what they leave. It holds nothing that cannot be read again:
// any Engine can stop at any instant, and another goes on.
//
// # Claim, act, record
//
// Nothing is locked while the outside world is acted upon. A Run is claimed by a short
// statement, which leases it; the executor and the content store are called, slow and
// fallible as they are; a second short statement records what came of it.
//
//	store                     engine                    executor, content
//	  │  claim (rev 4, lease)    │                              │
//	  │─────────────────────────►│        Start, Observe,       │
//	  │                          │─────────────────────────────►│
//	  │                          │        Remove, Seal          │
//	  │  save if rev is still 4  │◄─────────────────────────────│
//	  │◄─────────────────────────│                              │
//	  │  rev 5                   │                              │
//
// Rev is the fencing token: every change bumps it, and a save that read an older one
// is refused. The lease merely keeps two from doing the same work. So a lease may end
// too early, by a long pause or a clock that is wrong, and the worst that follows is
// work done twice, of which one result is recorded. Clocks of several machines are
// compared for nothing else.
//
// Every act may be repeated, and may take effect late, even after the Run has ended.
// What it makes is named after the attempt, the Run's id and the number of the try;
// reconciliation lists what there is and removes what is not the present attempt of a
// Run in progress. A container that is started so late that its attempt was removed
// already finds the attempt's directories closed, and what it writes is never sealed.
//
// # The way of a Run
//
//	waiting ──────► ready ──────────► starting ───────► running
//	   │ admission    │ admission        │ flight           │ hint, then flight
//	   │ claims it    │ finds room;      │ Start,           │ Observe
//	   │              │ flight resolves  │ Observe          │
//	   │              │ its image        │                  ▼
//	   └──────────────┴──────────────────┴────► completing │ aborting ──► done │ failed
//	                                                flight: Close, Remove, Seal, record, Discard
//
// A flight is the work on one Run from its claim until it needs none for a while. It
// keeps the lease between steps, and renews it while a step takes long. All flights
// save through one group, so that a commit carries whatever is ready; with a
// thousand Runs in flight a commit has hundreds. A running Run is in no flight and
// has no lease. Within one process the fleet sees to it that a Run is in one flight
// only; if a user stops a Run meanwhile, the flight is told to end and the Run goes on
// as the user has changed it.
//
// Loops, each of them a short step that is repeated while it finds work:
//
//	projection  has the store make Runs
//	admission   waiting → ready, and lets in whoever fits (admit decides)
//	hints       takes up Runs of which the executor has news
//	resume      takes up what is due, or leased by nobody
//	renew       renews the leases of long flights
//	reconcile   compares all that exists with what should
//	collect     removes content that nothing has referred to for a while
//	make room   removes it at once while the disk is full
//	prune       forgets old events
//
// They are woken by the store (after a commit, by whomever) and by the executor.
// Polling is the safety net for a wake-up that was lost.
//
// # Crashes
//
//	killed …                             what the next Engine finds        and does
//	after the claim                      a lease of its own name           claims again
//	between saving starting and Start    starting, no container            Start
//	in Start, which happens after all    starting, and a container         Start, which does nothing
//	while it runs                        running                           the executor hints at its end
//	between the end and saving it        running, container has ended      Observe
//	in Close, Remove or Seal             completing or aborting            Close, Remove and Seal
//	between sealing and saving           the same, trees are there         Seal, which gives the same trees
//	between saving and Discard           done, and work directories        reconcile discards them
//
// An Engine keeps the name of the one before it, and may claim what is leased to its
// own name: after a restart it need not wait for leases to end.
//
// # Hooks
//
// Before a status is recorded that the engine has chosen, hooks may want to be asked.
// While they are, the Run is parked: its flight ends, or it leaves the queue; its lease
// is renewed; and unless a container of it lives it has no room. When all agree it is
// taken up where it was, does its act again, and is recorded:
//
//	act ──► hooks want to be asked ──► parked ──► Ask ──► all agree ──► act, recorded
//	                                     ▲                    │ one does not
//	                                     └── due again ◄──────┘ reason recorded, lease given up
//
// That they agreed is in memory: whoever goes on after a crash asks again. A ready Run is
// asked about before it queues for room, so that a hook that hangs holds none.
// Variables that hooks give are recorded, sealed, with starting, as a crash may come
// between that record and the start.
//
// # Stopping
//
// A Run that a user stops comes here as completing or aborting. Its container is
// killed at once, as Knitfab does; what it has written until then is sealed.
//
// # Room
//
// On one machine, what Runs in progress ask for is entered in a ledger, and a Run
// is let in when what it asks for is left. The ledger is in memory: one Engine serves
// one machine, and reads at its start what runs already. An executor that shares out
// resources itself, such as Kubernetes, has no limits here.
package engine
