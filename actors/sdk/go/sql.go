package nanolattice

import "nanolattice/msgpack"

const sqldb = "wasmcloud:sqldb"

// Database takes SQL statements.
type Database struct{ link string }

// SQL is the database behind the link "default".
var SQL = Database{defaultLink}

// Open is the database behind the link of this name.
func (Database) Open(link string) Database { return Database{link} }

// Rows is the result of a query. Values are nil, bool, int64, float64, string or []byte.
type Rows struct {
	Columns []string
	Rows    [][]any
}

func (d Database) ask(operation, statement string, parameters []any) (*msgpack.Reader, error) {
	message := msgpack.NewWriter().Map(2).Field("sql", statement).Text("parameters").Array(len(parameters))
	for _, parameter := range parameters {
		encoded, err := appendCBOR(nil, parameter)
		if err != nil {
			return nil, err
		}
		message.Bytes(encoded)
	}
	reply, err := Provider(d.link, sqldb, operation, message.Done())
	return msgpack.NewReader(reply), err
}

// Execute gives how many rows were inserted, changed or deleted. Parameters are nil, bool, string, []byte or any kind of
// number, and are bound by position.
func (d Database) Execute(statement string, parameters ...any) (affected int64, err error) {
	reader, err := d.ask("SqlDb.Execute", statement, parameters)
	if err != nil {
		return 0, err
	}
	var failure *Error
	reader.Fields(func(name string) bool {
		switch name {
		case "rowsAffected":
			affected = reader.Int()
		case "error":
			failure = readSQLError(reader)
		default:
			return false
		}
		return true
	})
	return affected, outcome(reader, failure)
}

// Query gives the rows.
func (d Database) Query(statement string, parameters ...any) (*Rows, error) {
	reader, err := d.ask("SqlDb.Query", statement, parameters)
	if err != nil {
		return nil, err
	}
	found, encoded := &Rows{Columns: []string{}, Rows: [][]any{}}, []byte(nil)
	var failure *Error
	reader.Fields(func(name string) bool {
		switch name {
		case "columns":
			for left := reader.Array(); left > 0 && !reader.Failed(); left-- {
				reader.Fields(func(name string) bool {
					if name == "name" {
						found.Columns = append(found.Columns, reader.Text())
					}
					return name == "name"
				})
			}
		case "rows":
			encoded = reader.Bytes()
		case "error":
			failure = readSQLError(reader)
		default:
			return false
		}
		return true
	})
	if err := outcome(reader, failure); err != nil {
		return nil, err
	}
	if len(encoded) > 0 {
		found.Rows, err = readRows(encoded)
	}
	return found, err
}

func outcome(reader *msgpack.Reader, failure *Error) error {
	switch {
	case reader.Failed():
		return malformed("the result")
	case failure != nil:
		return failure
	}
	return nil
}

// readSQLError has the code "sql", and the contract's own in front of what the database says: "db: no such table".
func readSQLError(reader *msgpack.Reader) *Error {
	code, message := "", ""
	reader.Fields(func(name string) bool {
		switch name {
		case "code":
			code = reader.Text()
		case "message":
			message = reader.Text()
		default:
			return false
		}
		return true
	})
	return Fail("sql", code+": "+message)
}
