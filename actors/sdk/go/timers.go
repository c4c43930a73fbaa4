package nanolattice

import "nanolattice/msgpack"

const handleTick = "Cron.HandleTick"

// Tick is one call of a timer.
type Tick struct {
	// Timer is the name of the link.
	Timer string
	// When the tick was due and when it was sent, in milliseconds since 1970.
	ScheduledMs, NowMs int64
	// Missed are ticks before this one that were due and not sent.
	Missed int64
}

type timer struct {
	name    string
	handler func(tick *Tick) error
}

var timers []timer

// OnTimer names the handler of the ticks of one timer, by the name of its link.
func OnTimer(name string, handler func(tick *Tick) error) {
	timers = append(timers, timer{name, handler})
	operations[handleTick] = serveTick
}

// OnTick names the handler of the ticks of every timer that has none before this one.
func OnTick(handler func(tick *Tick) error) { OnTimer("", handler) }

func serveTick(payload []byte) ([]byte, error) {
	tick := &Tick{}
	reader := msgpack.NewReader(payload)
	reader.Fields(func(name string) bool {
		switch name {
		case "timer":
			tick.Timer = reader.Text()
		case "scheduledMs":
			tick.ScheduledMs = reader.Int()
		case "nowMs":
			tick.NowMs = reader.Int()
		case "missed":
			tick.Missed = reader.Int()
		default:
			return false
		}
		return true
	})
	if reader.Failed() {
		return nil, malformed("the tick")
	}
	for _, timer := range timers {
		if timer.name == "" || timer.name == tick.Timer {
			return nil, timer.handler(tick)
		}
	}
	return nil, Fail("operation_unknown", "no handler takes ticks of "+tick.Timer)
}
