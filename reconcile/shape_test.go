package reconcile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// One type had a hundred methods. Each might touch anything, and a reader took a month to learn it.
func TestTypesAndInterfacesStaySmall(t *testing.T) {
	t.Parallel()
	const mostMethods, mostAsked = 15, 4
	methods := make(map[string]int)
	look := func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "simulate") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv != nil {
					methods[filepath.Dir(path)+" "+receiver(n.Recv.List[0].Type)]++
				}
			case *ast.TypeSpec:
				if asked, is := n.Type.(*ast.InterfaceType); is && asked.Methods.NumFields() > mostAsked {
					t.Errorf("%s: interface %s has %d methods, and %d are allowed", path, n.Name.Name, asked.Methods.NumFields(), mostAsked)
				}
			}
			return true
		})
		return nil
	}
	for _, folder := range []string{".", "../quarantine", "../pulse", "../jobs", "../retention", "../lease", "../notice", "../trouble"} {
		if err := filepath.WalkDir(folder, look); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range methods {
		if n > mostMethods {
			t.Errorf("%s has %d methods, and %d are allowed", name, n, mostMethods)
		}
	}
}

func receiver(of ast.Expr) string {
	if star, is := of.(*ast.StarExpr); is {
		of = star.X
	}
	if name, is := of.(*ast.Ident); is {
		return name.Name
	}
	return ""
}
