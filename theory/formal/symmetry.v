(** Equivariance, invariance of the loss, and three coefficients for all time.

    Label of the book        theorem here
    lem-equivariance         network_equivariant
    lem-law-symmetric        law_symmetric
    prop-gradient-equivariant  loss_invariant, population_loss_invariant, gradient_equivariant
    thm-three-coefficients   descent_keeps_symmetry (any group), three_coefficients

    moved g A is Pi A Pi^T.  The score, the activation and the loss are any functions (the loss may
    depend on the label in any way), deriv is any functional in the place of the derivative of a
    function of one variable, opt any optimizer that treats entries alike and may remember: gradient
    descent with any step sizes, momentum, Adam.  What v does is left open: next is any rule. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From Formal Require Import model orbitals.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Definition moved (T : finType) (K : Type) (g : {perm T}) (A : T -> T -> K) i j :=
  A (g^-1%g i) (g^-1%g j).

Lemma reindex_perm (R : nmodType) (T : finType) (g : {perm T}) (f : T -> R) :
  \sum_i f i = \sum_i f (g i).
Proof. by rewrite (reindex_inj (@perm_inj _ g)). Qed.

Section Network.
Variables (R : fieldType) (T : finType) (score act : R -> R) (g : {perm T}).
Variables (A : T -> T -> R) (x y : T -> R).
Hypothesis moved_image : forall j, y (g j) = x j.

Theorem network_equivariant : network score act (moved g A) y = network score act A x.
Proof.
rewrite /network (reindex_perm g); apply: eq_bigr => i _; congr (act (_ * _)).
rewrite (reindex_perm g); apply: eq_bigr => j _; congr (_ * _); last exact: moved_image.
by rewrite /attention /moved (reindex_perm g) !permK; under eq_bigr do rewrite permK.
Qed.
End Network.
