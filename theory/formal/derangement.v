(** The same function without association: permuted rows.

    Label of the book        theorem here
    thm-3-2-derangement, 1   same_function
    thm-3-2-derangement, 2   same_function_same_diagonal
    thm-3-2-derangement, 3   deranged_top: the only top-C set of row i is S(g i), disjoint from S(i)
    (text after it)          derangement_exists, whenever there are two sets *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From Formal Require Import order model orbitals symmetry association conservation.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Derangement.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat).
Hypothesis eqC : equal part C.
Variables (score act : R -> R) (A : T -> T -> R) (g : {perm T}).

Theorem same_function x : network score act (fun i j => A (g i) j) x = network score act A x.
Proof. by rewrite [RHS](reindex_perm g). Qed.

Theorem same_function_same_diagonal (k : R -> R) (sigma_A : R) (c := fun i => sigma_A - A (g i) i)
  x :
  (forall a b, score (a + b) = score a * k b) -> (forall a, k a != 0) ->
  network score act (fun i j => A (g i) j + c i) x = network score act A x /\
  forall i, A (g i) i + c i = sigma_A.
Proof.
move=> mul k0; split=> [|i]; last by rewrite /c addrC subrK.
rewrite -(same_function x); apply: eq_bigr => i _; congr (act (_ * _)); apply: eq_bigr => j _.
by rewrite (shift_attention (fun i j => A (g i) j) c mul k0).
Qed.

Theorem deranged_top (c : T -> R) i :
  associated part C A -> (forall i, part (g i) != part i) ->
  only_top C (fun j => A (g i) j + c i) (block part (part (g i))) /\
  [disjoint block part (part (g i)) & block part (part i)].
Proof.
move=> assoc moved; split; last first.
  apply/pred0P=> j /=; rewrite !in_block; apply/negP=> /andP[/eqP-> /eqP e].
  by have := moved i; rewrite e eqxx.
have /(only_topP _ (eqC _)) lt := assoc (g i); apply/(only_topP _ (eqC _)) => j k jK kK.
by rewrite -subr_gt0 opprD addrACA subrr addr0 subr_gt0; apply: lt.
Qed.
End Derangement.

(** Two sets are enough: send every set to the next. *)
Theorem derangement_exists (T I : finType) (part : T -> I) (C : nat) :
  equal part C -> (1 < #|I|)%N -> exists2 g, g \in wreath part & forall i, part (g i) != part i.
Proof.
move=> eqC two; have [n eqn] : exists n, #|I| = n.+2 by exists #|I|.-2; case: #|I| two => [|[]].
pose rank k : 'I_n.+2 := cast_ord eqn (enum_rank k).
pose next k := enum_val (cast_ord (esym eqn) (rank k + 1)).
have rank_next k : rank (next k) = rank k + 1 by rewrite /rank enum_valK cast_ordKV.
have rank_inj : injective rank by move=> k l /cast_ord_inj/enum_rank_inj.
have next_inj : injective next.
  by move=> k l /(congr1 rank); rewrite !rank_next => /addIr/rank_inj.
pose f i := carry part (part i) (next (part i)) i.
have same k l : #|block part k| = #|block part l| by rewrite !eqC.
have f_part i : part (f i) = next (part i) by case: (carry_part (same _ (next (part i))) (erefl
  (part i))).
have f_inj : injective f.
  move=> i j eqf; have ep : part i = part j by apply: next_inj; rewrite -!f_part eqf.
  have [_ <-] := carry_part (same _ (next (part i))) (erefl (part i)).
  have [_ <-] := carry_part (same _ (next (part j))) (erefl (part j)).
  by rewrite -/(f i) -/(f j) eqf ep.
exists (perm f_inj); first by apply/wreathP=> i j; rewrite !permE !f_part (inj_eq next_inj).
move=> i; rewrite permE f_part; apply/eqP=> /(congr1 rank); rewrite rank_next.
by move/eqP; rewrite addrC -subr_eq0 addrK.
Qed.
